from .arrays.boxes import enlarged
from .arrays.roi import Region
from .errors import UserError
from .export.bioimageio import export_bioimage, import_bioimage
from .export.border import exclude_border
from .export.geojson import OutlineOptions
from .export.into_image import save_into_image
from .export.read import read_result
from .export.remeasure import MeasureOptions, measure_result
from .export.result import Result
from .export.save import save
from .io.images import read_image
from .io.ome_zarr import LabelsStore
from .io.open import open_lazily
from .labels.regionprops import Frame, measure
from .labels.volume_regionprops import VolumeFrame, measure_volume
from .metrics.error_types import Comparison, compare
from .models.model import Model, available_models, load_model
from .params import SegmentParams, TrainParams
from .progress import Step, run
from .provenance.record import Provenance
from .samples.images import read_sample
from .segmentation.segment import (
    Prediction,
    Segmentation,
    predict_plane_steps,
    retune,
    segment,
    segment_steps,
)
from .segmentation.stack import segment_stack
from .tracking.lineage import TrackScale, build_lineage_table, measure_tracks
from .training.evaluation import FineTuned
from .training.finetune import fine_tune

__version__: str

__all__ = [
    "Comparison",
    "FineTuned",
    "Frame",
    "LabelsStore",
    "MeasureOptions",
    "Model",
    "OutlineOptions",
    "Prediction",
    "Provenance",
    "Region",
    "Result",
    "SegmentParams",
    "Segmentation",
    "Step",
    "TrackScale",
    "TrainParams",
    "UserError",
    "VolumeFrame",
    "available_models",
    "build_lineage_table",
    "compare",
    "enlarged",
    "exclude_border",
    "export_bioimage",
    "fine_tune",
    "import_bioimage",
    "load_model",
    "measure",
    "measure_result",
    "measure_tracks",
    "measure_volume",
    "open_lazily",
    "predict_plane_steps",
    "read_image",
    "read_result",
    "read_sample",
    "retune",
    "run",
    "save",
    "save_into_image",
    "segment",
    "segment_stack",
    "segment_steps",
]
