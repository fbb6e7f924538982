"""CVAT XML files of other kinds than the sample: a video, a project, plain points."""

from __future__ import annotations

VIDEO = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>7</id>
      <name>swim.mp4</name>
      <mode>interpolation</mode>
      <original_size><width>24</width><height>20</height></original_size>
      <labels>
        <label><name>fish</name><type>skeleton</type></label>
        <label><name>head</name><type>points</type><parent>fish</parent></label>
        <label><name>tail</name><type>points</type><parent>fish</parent></label>
      </labels>
    </task>
  </meta>
  <track id="0" label="fish" source="manual" group_id="3">
    <skeleton frame="0" keyframe="1" z_order="0">
      <points label="tail" keyframe="1" outside="0" occluded="1" points="2.00,3.00"></points>
      <points label="head" keyframe="1" outside="0" occluded="0" points="5.00,3.00"></points>
    </skeleton>
    <skeleton frame="1" keyframe="0" z_order="0">
      <points label="tail" keyframe="0" outside="0" occluded="0" points="3.00,3.00"></points>
      <points label="head" keyframe="0" outside="0" occluded="0" points="6.00,3.00"></points>
    </skeleton>
    <skeleton frame="12" keyframe="1" z_order="0">
      <points label="tail" keyframe="1" outside="0" occluded="0" points="8.00,4.00"></points>
      <points label="head" keyframe="0" outside="0" occluded="0" points="11.00,4.00"></points>
    </skeleton>
    <skeleton frame="13" keyframe="1" z_order="0">
      <points label="tail" keyframe="1" outside="1" occluded="0" points="8.00,4.00"></points>
      <points label="head" keyframe="1" outside="1" occluded="0" points="11.00,4.00"></points>
    </skeleton>
  </track>
  <track id="1" label="tank" source="manual" group_id="3">
    <box frame="0" keyframe="1" outside="0" occluded="0" xtl="1.00" ytl="2.00" xbr="7.00" ybr="5.50" z_order="0"></box>
    <box frame="12" keyframe="0" outside="0" occluded="0" xtl="7.00" ytl="3" xbr="12.00" ybr="5.50" z_order="0"></box>
    <box frame="13" keyframe="1" outside="1" occluded="0" xtl="7.00" ytl="3" xbr="12.00" ybr="5.50" z_order="0"></box>
  </track>
</annotations>
"""


def plain(*images: str) -> str:
    """A file for images of plain shapes."""
    listed = "".join(
        f'<image id="{k}" name="{k}.png" width="24" height="20">{shapes}</image>\n' for k, shapes in enumerate(images)
    )
    return f"<annotations><version>1.1</version><meta></meta>\n{listed}</annotations>\n"


def points(label: str, at: str, group: int = 0, occluded: int = 0) -> str:
    """A plain shape of points."""
    grouped = f' group_id="{group}"' if group else ""
    return f'<points label="{label}" source="manual" occluded="{occluded}" points="{at}" z_order="0"{grouped}></points>'


PROJECT = """<annotations>
  <version>1.1</version>
  <meta><project><id>1</id><name>p</name><tasks>
    <task><id>10</id><name>one</name><subset>Train</subset><mode>annotation</mode></task>
    <task><id>11</id><name>two</name><subset>Validation</subset><mode>interpolation</mode></task>
  </tasks><labels>
    <label><name>fish</name><type>skeleton</type></label>
    <label><name>head</name><type>points</type><parent>fish</parent></label>
    <label><name>tail</name><type>points</type><parent>fish</parent></label>
  </labels></project></meta>
  <image id="0" name="a.png" subset="Train" task_id="10" width="24" height="20">
    <skeleton label="fish"><points label="tail" outside="0" occluded="0" points="1,2"/></skeleton>
  </image>
  <image id="1" name="frame_000000" subset="Validation" task_id="11" width="24" height="20">
    <skeleton label="fish"><points label="head" outside="0" occluded="0" points="3,4"/></skeleton>
  </image>
</annotations>
"""
