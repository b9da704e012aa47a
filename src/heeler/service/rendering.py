"""Templates of the console's pages, made into HTML. Whatever is put into them is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from heeler.service.static_files import StaticFiles

_TEMPLATES = Environment(
    loader=PackageLoader("heeler.service"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def rendered(static: StaticFiles, template: str, **fields: object) -> str:
    """A page.

    Args:
        static: where it finds its style and scripts.
        template: name of the file.
        fields: what stands in it; every page has a `title`, a `menu` and where it is, `here`.
    """
    return _TEMPLATES.get_template(template).render({"static": static.url} | fields)
