"""A run's feedback as files, in heeler's own format and in those of other programs.

`jsonl` holds all of it and gives an equal store. The other formats hold the kinds of feedback that they have a place
for; `left_out` says what they had none for.
"""

from heeler.feedback.transfer.moving import (
    FORMATS,
    Exported,
    Imported,
    export_feedback,
    import_feedback,
    kind_named,
    tool_settings,
)

__all__ = ["FORMATS", "Exported", "Imported", "export_feedback", "import_feedback", "kind_named", "tool_settings"]
