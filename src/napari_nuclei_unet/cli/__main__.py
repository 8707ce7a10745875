"""``python -m napari_nuclei_unet.cli``."""

import sys

from napari_nuclei_unet.cli import main

sys.exit(main())
