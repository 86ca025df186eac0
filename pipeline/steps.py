"""The steps of a build, in the order in which they run: one line for each."""

from webtext.pipeline.archive import step as warc_pages
from webtext.pipeline.corpus import step as corpus
from webtext.pipeline.crawl import step as crawled_pages
from webtext.pipeline.crawl.commoncrawl import step as commoncrawl_pages
from webtext.pipeline.dedup import step as paragraphs
from webtext.pipeline.dedup.clusters import step as duplicates
from webtext.pipeline.dedup.signatures import step as signatures
from webtext.pipeline.filters import step as documents
from webtext.pipeline.filters.own import step as own_documents
from webtext.pipeline.links import step as links
from webtext.pipeline.tokens import step as tokens

STEPS = (
    links.STEP,
    # The next one if the recipe names crawls of Common Crawl, the third if it names WARC files.
    commoncrawl_pages.STEP,
    commoncrawl_pages.FIRST,  # and this one too, if what it does not have is to be crawled
    crawled_pages.STEP,
    warc_pages.STEP,
    own_documents.STEP,  # instead of all above and the next, if the recipe names own texts
    documents.STEP,
    paragraphs.STEP,
    signatures.STEP,
    duplicates.STEP,
    corpus.STEP,
    tokens.STEP,
)
