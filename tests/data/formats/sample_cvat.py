"""A small CVAT XML file "for images", as its exporter writes them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>heads</name>
      <size>4</size>
      <mode>annotation</mode>
      <labels>
        <label>
          <name>head</name>
          <type>skeleton</type>
          <attributes>
          </attributes>
          <svg>&lt;line x1="36.8" y1="47.7" x2="86.8" y2="10.7" stroke="black" data-type="edge" data-node-from="2" \
stroke-width="0.5" data-node-to="3"&gt;&lt;/line&gt;&lt;circle r="1.5" cx="25" cy="22" data-type="element node" \
data-element-id="1" data-node-id="1" data-label-name="left eye"&gt;&lt;/circle&gt;&lt;circle r="1.5" cx="36" cy="47" \
data-type="element node" data-element-id="2" data-node-id="2" data-label-name="right eye"&gt;&lt;/circle&gt;\
&lt;circle r="1.5" cx="86" cy="10" data-type="element node" data-element-id="3" data-node-id="3" \
data-label-name="nose"&gt;&lt;/circle&gt;</svg>
        </label>
        <label><name>left eye</name><type>points</type><parent>head</parent></label>
        <label><name>right eye</name><type>points</type><parent>head</parent></label>
        <label><name>nose</name><type>points</type><parent>head</parent></label>
        <label><name>frame</name><type>rectangle</type></label>
      </labels>
    </task>
    <dumped>2024-03-01 10:00:00.000000+00:00</dumped>
  </meta>
  <!-- two heads in one image -->
  <image id="0" name="été 1.png" width="24" height="20">
    <skeleton label="head" source="manual" z_order="0" group_id="1">
      <points label="nose" source="manual" outside="0" occluded="0" points="7.25,9.00">
      </points>
      <points label="left eye" source="manual" outside="0" occluded="1" points="9.50,4.75">
      </points>
      <points label="right eye" source="manual" outside="0" occluded="0" points="5.00,4.00">
      </points>
      <attribute name="sure">yes</attribute>
    </skeleton>
    <skeleton label="head" source="manual" z_order="0" group_id="2">
      <points label="right eye" source="manual" outside="1" occluded="0" points="15.00,4.00">
      </points>
      <points label="nose" source="manual" outside="0" occluded="0" points="17.25,9.00">
      </points>
      <points label="left eye" source="manual" outside="0" occluded="0" points="25.50,-0.75">
      </points>
    </skeleton>
    <box label="frame" source="manual" occluded="0" xtl="3.00" ytl="2.00" xbr="12.00" ybr="12.00" z_order="0" \
group_id="1">
    </box>
    <box label="frame" source="manual" occluded="0" xtl="13.00" ytl="2.00" xbr="23.50" ybr="12.50" z_order="0" \
group_id="2">
    </box>
  </image>
  <image id="1" name="b.png" width="24" height="20">
    <skeleton label="head" source="manual" z_order="0">
      <points label="nose" source="manual" outside="0" occluded="0" points="11.00,12.00"></points>
      <points label="right eye" source="manual" outside="0" occluded="0" points="9.00,6.00"></points>
      <points label="left eye" source="manual" outside="0" occluded="0" points="13.00,6.00"></points>
    </skeleton>
    <tag label="blurred" source="manual"></tag>
  </image>
  <image id="2" name="c.png" width="24" height="20">
    <skeleton label="head" source="manual" z_order="0">
      <points label="nose" source="manual" outside="0" occluded="0" points="12.00,13.00"></points>
      <points label="left eye" source="manual" outside="0" occluded="0" points="14.00,7.00"></points>
    </skeleton>
  </image>
  <image id="3" name="d.png" width="24" height="20">
  </image>
</annotations>
"""
NAMES = ("été 1.png", "b.png", "c.png", "d.png")


def build(folder: Path) -> Path:
    """Write the file and its images; gives the path to read."""
    (folder / "images").mkdir(parents=True)
    draw(folder / "images", NAMES)
    path = folder / "annotations.xml"
    path.write_text(XML, encoding="utf-8")
    return path


def draw(folder: Path, names: tuple[str, ...], height: int = 20, width: int = 24) -> None:
    """Write images that all differ."""
    for k, name in enumerate(names):
        pixels = np.random.default_rng(k).integers(0, 256, (height, width, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
