"""``python -m napari_nuclei_unet.cli``."""

import sys

from . import main

sys.exit(main())
