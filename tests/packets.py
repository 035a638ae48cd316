"""What a page sends to its parts in the browser."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest


def packets(app: AppTest, name: str) -> list[dict[str, Any]]:
    """The headers of what the parts of this name are sent."""
    sent = [part.proto.bytes for part in app.get("bidi_component") if part.proto.component_name == f"vitrine_{name}"]
    return [json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")]) for data in sent]
