"""A small sample of each format: a function that writes it into a folder and returns the path that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import sample_bodies
import sample_coco
import sample_cvat
import sample_dlc
import sample_faces
import sample_fiftyone
import sample_labelme
import sample_labelstudio
import sample_lightning_pose
import sample_pts
import sample_roboflow
import sample_sleap
import sample_sleap_analysis
import sample_via
import sample_wflw
import sample_yolo

SAMPLES: Mapping[str, Callable[[Path], Path]] = {
    "coco": sample_coco.build,
    "cvat": sample_cvat.build,
    "dlc": sample_dlc.build,
    "fiftyone": sample_fiftyone.build,
    "kaggle-faces": sample_faces.kaggle_faces,
    "labelme": sample_labelme.build,
    "labelstudio": sample_labelstudio.build,
    "lfw-net": sample_faces.lfw_net,
    "lightning-pose": sample_lightning_pose.build,
    "lsp": sample_bodies.lsp,
    "lspet": sample_bodies.lspet,
    "mpii": sample_bodies.mpii,
    "mpii-csv": sample_bodies.mpii_csv,
    "mpii-json": sample_bodies.mpii_json,
    "mtfl": sample_faces.mtfl,
    "parse": sample_bodies.parse,
    "pts": sample_pts.build,
    "roboflow": sample_roboflow.build,
    "sleap": sample_sleap.build,
    "sleap-analysis": sample_sleap_analysis.build,
    "udacity-faces": sample_faces.udacity_faces,
    "utkface": sample_faces.utkface,
    "via": sample_via.build,
    "wflw": sample_wflw.build,
    "yolo": sample_yolo.build,
}
