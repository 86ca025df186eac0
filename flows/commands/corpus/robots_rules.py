"""Show what a robots.txt means, for its authors and for users of the crawler."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from webtext.pipeline.crawl.policy.robots import Rules
    from webtext.pipeline.crawl.settings import Crawl


@click.command()
@click.argument("source", metavar="FILE|URL")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--agent", help="The name to look for; by default that of crawl.user_agent.")
@options.contact
@options.overrides
def robots(
    source: str,
    paths: tuple[str, ...],
    agent: str | None,
    contact: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Print which PATHs a robots.txt lets this crawler, or another, fetch.

    One line each: whether, by which rule, and the line of this rule in the file; then the delay
    that it asks for, and its rules on AI training. For a URL, its host's robots.txt is fetched.
    """
    from webtext.flows.building.settings import overridden
    from webtext.flows.commands.corpus.crawl import with_contact
    from webtext.pipeline.crawl.policy.robots import judge, usage_signals

    given = with_contact(overrides, contact)
    settings = overridden({}, given, "--set").crawl
    product = agent or settings.product
    rules = _rules(source, settings, product)
    for path in paths:
        verdict = judge(rules, path)
        where = "" if verdict.line is None else f", line {verdict.line}"
        echo(f"{path} {'allowed' if verdict.allowed else 'denied'}  {verdict.why}{where}")
        for signal in usage_signals(rules, path):
            says = "reserves training" if signal.reserves else "does not reserve training"
            echo(f"{path} {says}  {signal.text}")
    asked = rules.group.delay() if rules.group else None
    if asked is None:
        echo(f"delay: none asked for; crawl.delay is {settings.delay:g} s")
    else:
        most = f"; crawl.max_delay is {settings.max_delay:g} s"
        clamped = most if asked[0] > settings.max_delay else ""
        echo(f"delay: {asked[0]:g} s, line {asked[1]}{clamped}")


def _rules(source: str, settings: "Crawl", product: str) -> "Rules":
    """Return the rules of a robots.txt file, or of the host of a URL.

    Raises:
        UserError: there is no such file, or the host does not answer.
    """
    from webtext.pipeline.crawl.policy.robots import parse

    if source.lower().startswith(("http://", "https://")):
        return asyncio.run(_asked(source, settings, product))
    try:
        return parse(Path(source).read_bytes(), product)
    except OSError as error:
        raise UserError(
            f"{source}: {error.strerror}; wanted a robots.txt, or a URL with http:// or https://"
        ) from None


async def _asked(url: str, settings: "Crawl", product: str) -> "Rules":
    """Ask the host of a URL for its robots.txt, as a crawl does."""
    from webtext.pipeline.crawl import fates
    from webtext.pipeline.crawl.http.address_guard import Resolver
    from webtext.pipeline.crawl.http.client import Client, Failed, checked, origin
    from webtext.pipeline.crawl.policy.permissions import Permissions

    settings.check_contact()
    try:
        here = origin(checked(url, fates.BAD_URL))
    except Failed:
        raise UserError(f"{url}: is no URL that is fetched; wanted http:// or https://") from None
    resolver = Resolver(settings)
    try:
        async with Client(settings, resolver) as client:
            rules, _ = await Permissions(settings, client, None, product).rules(here)
            return rules
    finally:
        await resolver.close()
