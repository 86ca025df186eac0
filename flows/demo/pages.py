"""Turn plain text into pages as real sites have them: navigation, header, main text, footer."""

import html
import re
from collections.abc import Iterator, Sequence


def render(
    host: str, title: str, text: str, links: Sequence[tuple[str, str]], lang: str = "en"
) -> str:
    """Return a page of `host` around `text`, with `links` (path, title) beside it."""
    beside = "\n".join(
        f'<li><a href="{html.escape(path)}">{html.escape(name)}</a></li>' for path, name in links
    )
    return f"""<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{html.escape(title)} | {host}</title>
<meta name="viewport" content="width=device-width"></head>
<body>
<header><nav><a href="/">Home</a> <a href="/readme.html">Read me</a>
<a href="https://www.demo.test/">All packages</a> <a href="/private/account.html">Sign in</a></nav>
<p>We use cookies on {host}. <a href="/cookies.html">Learn more</a></p></header>
<aside><h3>On this site</h3><ul>
{beside}
</ul></aside>
<main><article><h1>{html.escape(title)}</h1>
{"".join(blocks(text))}
</article></main>
<footer><p>Copyright the authors of {host}. All rights reserved. <a href="/licence.html">Licence</a>
<a href="/privacy.html">Privacy policy</a> Share: Facebook Twitter Reddit</p></footer>
</body></html>
"""


def blocks(text: str) -> Iterator[str]:
    """Yield a text's blocks as HTML: headings by their underline, lists, code, paragraphs.

    >>> list(blocks("Notes" + chr(10) + "-----" + chr(10) + "All is well."))
    ['<h2>Notes</h2>', '<p>All is well.</p>']
    """
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip("\n")):
        lines = block.split("\n")
        if len(lines) > 1 and re.fullmatch(r"[-=~^]{3,}\s*", lines[1]):
            yield f"<h2>{html.escape(lines[0].strip())}</h2>"
            lines = lines[2:]
        if not lines:
            continue
        if all(line.startswith((" ", "\t", ">>>", "...")) for line in lines):
            yield f"<pre>{html.escape(chr(10).join(lines))}</pre>"
        elif re.match(r"\s*[-*] ", lines[0]):
            items = re.split(r"\n\s*[-*] ", "\n" + "\n".join(lines))[1:]
            yield "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"
        else:
            yield f"<p>{html.escape(' '.join(line.strip() for line in lines))}</p>"
