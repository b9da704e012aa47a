"""Labeling configurations for Label Studio: what a project needs to show questions about texts of one kind."""

from collections.abc import Mapping

from heeler.core.nouns import FeedbackKind
from heeler.feedback.kinds import KINDS

_PAIR = """\
  <Pairwise name="preference" toName="left,right"/>
  <View style="display: flex; gap: 1em">
    <View style="flex: 1"><Text name="left" value="$left"/></View>
    <View style="flex: 1"><Text name="right" value="$right"/></View>
  </View>
  <Choices name="neither" toName="left" choice="single" showInline="true">
    <Choice value="equal"/>
    <Choice value="cant_tell"/>
  </Choices>
"""
_TEXT = '  <Text name="completion" value="$completion"/>\n'
_BODIES: Mapping[FeedbackKind, str] = {
    "preference": _PAIR,
    "rating": f"""{_TEXT}\
  <Rating name="rating" toName="completion" maxRating="5"/>
  <Header value="Or a number, where the scale is another" size="5"/>
  <Number name="score" toName="completion"/>
""",
    "evaluation": f"""{_TEXT}\
  <Choices name="evaluation" toName="completion" choice="single" showInline="true">
    <Choice value="good"/>
    <Choice value="bad"/>
    <Choice value="neither"/>
  </Choices>
""",
    "critique": f"""\
  <Labels name="part" toName="completion"><Label value="part"/><Label value="good"/><Label value="bad"/></Labels>
{_TEXT}\
  <TextArea name="critique" toName="completion" perRegion="true" maxSubmissions="1" required="true"/>
""",
    "correction": f"""{_TEXT}\
  <TextArea name="correction" toName="completion" value="$completion" editable="true" maxSubmissions="1" rows="8"/>
""",
    "demonstration": f"""{_TEXT}\
  <TextArea name="demonstration" toName="completion" editable="true" maxSubmissions="1" rows="8"/>
""",
}


def settings(kind: FeedbackKind) -> str:
    """The labeling configuration of a project for questions of this kind."""
    return f"""\
<View>
  <Header value="{KINDS[kind].question}"/>
  <Text name="prompt" value="$prompt"/>
{_BODIES[kind]}\
</View>
"""
