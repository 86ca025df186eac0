"""What is left out of the blocks that were chosen: what a reader sees and would not copy.

The model knows menus and notices by the names of the elements around them. On a page without such
names only their words and links show what they are.
"""

import re
from collections import Counter
from collections.abc import Sequence

from webtext.pipeline.text.extraction.blocks.completing import HEADINGS
from webtext.pipeline.text.extraction.blocks.hints import BIT
from webtext.pipeline.text.extraction.blocks.page_blocks import Block, Place

THREAD = BIT["post"] | BIT["comment"]
MOST_UNSEEN = 0.2  # share of hidden words; where there are more, a script shows them later
LEAST_MENU = 3  # lines of a block that is a menu, or parts of its line
MENU_LINKED = 0.8  # share of its linked characters; spaces are not linked
LONGEST_ENTRY = 40  # characters of its lines or parts
BETWEEN_ENTRIES = re.compile(r"\n|\s[|\u00b7\u2022\u00bb>:/\u2013-]+\s|[|\u2022]|\]\s?\[")
# A page's other languages, by their codes: of which its own is no link.
LANGUAGES = re.compile(
    r"\W*(?:[^\d:：]{1,40}[:：]\s*)?[a-z]{2}(?:-[a-z]{2,4})?(?:\s*[|/\u00b7]\s*[a-z]{2}(?:-[a-z]{2,4})?){2,}\W*",
    re.IGNORECASE,
)  # fmt: skip

COOKIE = re.compile(
    r"\bcookies?\b|çerez|evästei|informasjonskapsl|\bsütik|slapuk|sīkdat|piškotk|kolačić|küpsis"
    r"|vafrakök|μπισκότ|\bкуки\b|\bфайл\w{0,4} cookie|עוגיות|ملفات تعريف الارتباط|คุกกี้"
    r"|クッキー|쿠키",
    re.IGNORECASE,
)
# What such a notice says beside that, in the languages of most sites that have one.
AGREED = re.compile(
    r"\b(?:accept|agree|consent|polic(?:y|ies)|privacy|preferences"
    r"|continu(?:e|ing) to (?:use|browse)|our use of|(?:we|site|page) uses? cookies"
    r"|zustimm|akzeptier|einverstanden|datenschutz|verwende[nt]|nutzung"
    r"|accept(?:er|ez|ant)|utilis(?:e|ons|ation)|confidentialit|acept(?:a|ar|as|o)\b|utiliza(?:mos)?"
    r"|privacidad|accett|consenso|utilizza|informativa|gebruik|akkoord|zgod|używa"
    r"|соглаш|использу|принима|погодж|використов|kabul|kullan|hyväksy|käytäm|godkänn|använd|godta"
    r"|bruker|bruger|souhlas|používá|elfogad|használ|sutink|naudoja|piekrīt|izmanto|strinja|uporablja"
    r"|prihvać|koristi|nõustu|kasuta|samþykk|συναιν|αποδέχ|χρησιμοποι|setuju|menggunakan)"
    r"|同意|使用|동의|사용|نستخدم|يستخدم|שימוש|משתמש|đồng ý|sử dụng|ยอมรับ|ใช้",
    re.IGNORECASE,
)
LONGEST_NOTICE = 80  # words
LEAST_TEXT = 1  # times the words of a notice that the rest of the text has at least

OWNED = re.compile(
    r"\W*(?:\u00a9|\(c\)\s*(?:19|20)\d\d|copyright\s*(?:\u00a9|\(c\)|by\b|(?:19|20)\d\d|$)"
    r"|all rights reserved\b|alle rechte vorbehalten|tous droits réservés|todos los derechos reserv"
    r"|todos os direitos reserv|tutti i diritti riserv|alle rechten voorbehouden|все права защищены"
    r"|wszelkie prawa zastrzeżone|všechna práva vyhrazena|版权所有|版權所有|無断転載"
    r"|powered by\s+\S+(?:\s+\S+){0,3}\s*$)",
    re.IGNORECASE,
)
# What leads to another page or another place, in a link: of an archive, a manual, a list.
PAGER = re.compile(
    r"\W*(?:(?:prev(?:ious)?|next|newer|older|earlier|later|parent|up)\b"
    r"(?: (?:message|post|article|page|chapter|section|topic|thread|entry|story|in thread"
    r"|by (?:date|thread|author|subject)|posts|articles|stories|entries))*\s*(?:[:»«→←|]|$)"
    r"|(?:zurück|weiter|vorig|vorherig|nächst|nach oben|(?:älte|neue)re beiträge|précédent|suivant"
    r"|(?:page|article|chapitre|section) (?:précédent|suivant)|plus haut|anterior|siguiente|próxim"
    r"|precedente|successiv|vorige|volgende|poprzedni|następn|назад|вперёд|предыдущ|следующ)\w{0,3}"
    r"(?: (?:seite|kapitel|abschnitt|artikel|beitrag|thema|pagina|página))?\s*(?:[:»«→←|]|$)"
    r"|(?:前|次)(?:へ|の(?:ページ|記事|章|節))\W*$|上へ\W*$|[上下]一[页頁篇章]\W*$"
    r"|(?:이전|다음)(?: ?글)?\W*$"
    r"|(?:messages )?sorted by\b|more information about the .{1,60} mailing list)",
    re.IGNORECASE,
)
# The same by its arrows, in any language: "<< Contents", "[ < Mills ]", "The wheel >>".
ARROWED = re.compile(r"[\[\s|]*(?:<<?|«|‹|←|↑)\s(?!.*[»>])|^[^«<]*\s(?:>>?|»|›|→)[\]\s|]*$")
PAGER_LINKED = 0.35  # share of its linked characters
# What is only a link and calls a reader to do something.
CALL = re.compile(
    r"\W*(?:(?:skip|jump) to\b.*|(?:back|return) to (?:the )?(?:top|index|home|start|list|search"
    r"|results|contents|main|menu)\b.*|print (?:this|recipe)|click (?:here )?to (?:expand|enlarge)"
    r"|(?:show|load|read|see|view) (?:more|less|all)|continue reading|permalink|embed|reply|quote"
    r"|report(?: to moderator)?"
    r"|zum (?:haupt)?inhalt\b.*|(?:zurück )?(?:nach oben|zum seitenanfang)|weiterlesen"
    r"|mehr (?:lesen|erfahren|anzeigen)|antworten|zitieren|(?:seite )?drucken"
    r"|aller au contenu\b.*|(?:retour )?(?:en haut|au sommaire|à l['\u2019]accueil)\b.*"
    r"|lire la suite|en savoir plus|répondre|citer|imprimer"
    r"|(?:ir|saltar) al contenido\b.*|leer más|seguir leyendo|responder|volver arriba"
    r"|vai al contenuto\b.*|leggi tutto|continua a leggere|rispondi|lees (?:meer|verder)"
    r"|читать далее|ответить|наверх|czytaj (?:dalej|więcej)|odpowiedz"
    r"|コンテンツへ(?:スキップ|移動)|(?:ページの?)?(?:トップ|先頭)へ(?:戻る)?|続きを読む|もっと見る|返信(?:する)?"
    r"|引用(?:する)?|阅读全文|继续阅读|回复|더 ?보기)\W*",
    re.IGNORECASE,
)
# Of these, what is also a title or an entry of a list: only beside another of these.
BARE = re.compile(
    r"\W*(?:next|up|parent|embed|reply|quote|previous|zurück|weiter|antworten|zitieren|drucken"
    r"|précédent|suivant|répondre|citer|imprimer|anterior|siguiente|responder|назад|вперёд"
    r"|返信|引用|回复|이전|다음)\W*",
    re.IGNORECASE,
)
# What a board says of a post that was changed.
EDITED = re.compile(
    r"\W*(?:(?:this (?:post|message|topic) (?:was|has been) )?(?:last )?edited (?:by|on|at|:)"
    r"|last edit(?:ed)?\b|zuletzt (?:bearbeitet|geändert)|geändert von|bearbeitet von"
    r"|dernière (?:modification|édition)|modifié (?:le|par)|última edición|editado por"
    r"|última edição"
    r"|ultima modifica|modificato da|laatst (?:bewerkt|aangepast)|последний раз редактировалось"
    r"|отредактировано|senast (?:redigerad|ändrad)|ostatnio (?:edytowan|zmienian))",
    re.IGNORECASE,
)
# The line above links to other texts.
TEASERS = re.compile(
    r"\W*(?:most (?:read|popular|viewed|shared|commented)|related(?: (?:articles?|posts?|stories"
    r"|content|links|news|topics|reading))?|you (?:may|might) (?:also )?(?:like|enjoy)"
    r"|(?:read|up) next|read also|also read|recommended(?: for you)?|trending(?: now)?"
    r"|popular posts|more (?:from|in|on) .{1,30}|more (?:stories|news|articles|posts)"
    r"|(?:latest|recent) (?:news|posts|articles|stories|comments)"
    r"|mehr zum thema|das könnte sie auch interessieren|meistgelesen|lesen sie auch"
    r"|(?:à lire|lire) aussi|sur le même sujet|les plus lus|te puede interesar|lo más leído"
    r"|noticias relacionadas|leggi anche|lees ook|leia também|関連記事|相关阅读)\W*",
    re.IGNORECASE,
)
# Of these, what is also a heading within a text.
ALSO_TITLES = re.compile(r"\W*(?:recommended|latest|recent|more|related\W*$)", re.IGNORECASE)
# The line over the parts of a page, of which a reader copies both or none.
PARTS = re.compile(
    r"\W*(?:table of contents|contents|on this page|in this (?:article|guide|post|section)"
    r"|jump to(?: section)?|inhalt(?:sverzeichnis)?|table des matières|sommaire|目次|índice"
    r"|tabla de contenido|indice|spis treści|содержание|оглавление|inhoud(?:sopgave)?)\W*",
    re.IGNORECASE,
)
SUBSCRIBE = re.compile(
    r"\b(?:subscri\w*|sign ?up|newsletter|inbox|abonnier\w*|abonne[zr]\b|suscrí\w*)", re.IGNORECASE
)
LONGEST_CALL = 40  # words of a call to subscribe
SIGN_LINE = re.compile(r"(?:^|\n)[ \t]*_{10,}[ \t]*(?:\n|\Z)")  # above a signature
LONGEST_SIGNATURE = 60  # words
WITHIN = ("p", "li", "dd")  # parts of a text, which are no posts by themselves
ADDRESS = re.compile(r"://|\S@\S|\bwww\.")  # of a list, under its mails
LONGEST_UNDATED = 6  # words of a line on a change that says no time
YEAR = re.compile(r"(?<![\d./-])(?:1[5-9]|20)\d\d(?![\d./-]\d)")  # alone it is a book's
LEAST_OTHER = 20  # words that are likely, beside a notice over the page
LIKELY = 0.3  # probability of them
LONGEST_OWNED = 25  # words of the line that says whose a page is
AT_THE_END = 3  # blocks of a text among which it is

FRAME = BIT["<nav>"] | BIT["<footer>"] | BIT["nav"] | BIT["footer"]  # names of menus and footers
CONTENTS = re.compile(r"\.(?:toc|contents)$")  # the name of an element with a book's contents
ELEMENTS = BIT["<nav>"] | BIT["<footer>"]
LEAST_UNLINKED = 200  # words beside its links of a text that is no list, however many links it has
MOST_LINKED = 0.3  # share of linked words of a text whose links at its edges are menus
# What a board says of a member beside a post.
MEMBER = re.compile(
    r"^(?:joined|registered|member since|posts|location|registriert|beitr\u00e4ge|wohnort"
    r"|inscription|messages|localisation|inscrit)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
PLACES = {"location:", "localisation:", "wohnort:"}  # which texts about meetings say too
LONGEST_MEMBER = 15  # words of it
LEAST_MEMBERS = 2  # blocks of it in a thread


def without_notices(
    blocks: Sequence[Block], takes: Sequence[bool], words: Sequence[int]
) -> list[bool]:
    """Return which blocks are taken, without hidden ones, menus, notices and the page's owner."""
    left = [take and not is_menu(block) for block, take in zip(blocks, takes, strict=True)]
    all_words = sum_of(words, left)
    unseen = [
        take and block.place.unseen and not is_folded(block.place)
        for block, take in zip(blocks, left, strict=True)
    ]
    if sum_of(words, unseen) <= MOST_UNSEEN * all_words:  # else a script shows the text later
        left = [take and not hidden for take, hidden in zip(left, unseen, strict=True)]
    told = [at for at, take in enumerate(left) if take and COOKIE.search(blocks[at].text)]
    said = sum(words[at] for at in told)  # of all of them: a text about cookies says more
    one_place = len({id(blocks[at].place.up) for at in told}) == 1
    if one_place and said <= LONGEST_NOTICE and (1 + LEAST_TEXT) * said <= all_words:
        for at in told:
            if AGREED.search(blocks[at].text):
                left[at] = False
    members = [
        at for at, take in enumerate(left)
        if take and words[at] <= LONGEST_MEMBER and MEMBER.search(blocks[at].text)
    ]  # fmt: skip
    keys = {key.lower() for at in members for key in MEMBER.findall(blocks[at].text)}
    if len(members) >= LEAST_MEMBERS and keys - PLACES:
        for at in members:
            left[at] = False
    without_calls(blocks, left, words)
    without_signatures(blocks, left)
    without_contents(blocks, left, words)
    without_edges(blocks, left, words)
    taken = [at for at, take in enumerate(left) if take]
    for at in taken[1:][-AT_THE_END:]:
        if words[at] <= LONGEST_OWNED and OWNED.match(blocks[at].text):
            left[at] = False
    return left


def without_popups(
    blocks: Sequence[Block], chances: list[float], words: Sequence[int]
) -> list[float]:
    """Return the blocks' probabilities, 0 for those of a cookie notice that lies over the page.

    However long it is, no text is compared with it, unless there is no other.
    """
    over = [
        bool(block.place.bits & BIT["popup"] and COOKIE.search(block.text))
        and AGREED.search(block.text) is not None
        for block in blocks
    ]
    if not any(over):
        return chances
    likely = [not notice and chance >= LIKELY for notice, chance in zip(over, chances, strict=True)]
    if sum_of(words, likely) < LEAST_OTHER:
        return chances
    return [0.0 if notice else chance for notice, chance in zip(over, chances, strict=True)]


def is_folded(place: Place) -> bool:
    """Whether a hidden part is shown at a click on what stands over it, as an answer of a FAQ."""
    return bool(place.bits & BIT["fold"]) or place.tag == "dd"


def without_calls(blocks: Sequence[Block], left: list[bool], words: Sequence[int]) -> None:
    """Leave out links that lead on or back, calls to subscribe, and what a board says of a post."""
    for at, block in enumerate(blocks):
        if not left[at] or words[at] > LONGEST_CALL:
            continue
        text, place = block.text, block.place
        if leads_on(block, words[at]) and place.tag not in HEADINGS:
            near = [
                other for other in (at - 1, at + 1)
                if 0 <= other < len(blocks) and leads_on(blocks[other], words[other])
            ]  # fmt: skip
            left[at] = not (near or place.bits & (THREAD | FRAME) or not BARE.fullmatch(text))
        told = YEAR.sub("", text)
        short = words[at] <= LONGEST_UNDATED and told == text
        dated = short or any(map(str.isdecimal, told))
        edited = place.bits & THREAD and words[at] <= LONGEST_OWNED and EDITED.match(text) and dated
        if edited or (place.near & BIT["signup"] and SUBSCRIBE.search(text)):
            left[at] = False
    for at, block in enumerate(blocks[:-1]):
        if left[at] and not left[at + 1] and PARTS.fullmatch(block.text):
            left[at] = False
    taken = [at for at, take in enumerate(left) if take]
    ends = {  # of each element: its last block that is no link
        id(blocks[at].place.up): at for at in taken
        if not is_link(blocks[at]) and not TEASERS.fullmatch(blocks[at].text)
    }  # fmt: skip
    label: int | None = None  # of the links that follow
    for at in taken:
        if label is not None and is_link(blocks[at]):
            left[label] = left[at] = False
        elif TEASERS.fullmatch(blocks[at].text):
            within = ends.get(id(blocks[at].place.up), -1) > at
            title = blocks[at].place.tag in HEADINGS and ALSO_TITLES.match(blocks[at].text)
            label = None if within and title else at
        else:
            label = None


def leads_on(block: Block, words: int) -> bool:
    """Whether a block is a link that leads to another page, or calls a reader to do something."""
    if not block.linked or words > LONGEST_OWNED:
        return False
    paged = block.linked >= PAGER_LINKED * len(block.text) and not block.text.endswith(".")
    alone = is_link(block)
    return bool(
        (paged and PAGER.match(block.text))
        or (alone and (CALL.fullmatch(block.text) or ARROWED.search(block.text)))
    )


def without_signatures(blocks: Sequence[Block], left: list[bool]) -> None:
    """Cut what stands under a line of underscores in posts, and in mails of a list."""
    cuts = [
        (at, line) for at, take in enumerate(left)
        if take and "____" in blocks[at].text and (line := SIGN_LINE.search(blocks[at].text))
    ]  # fmt: skip
    lines = Counter(id(blocks[at].place) for at, _ in cuts)
    several = len(lines) == len(cuts) > 1
    for at, line in cuts:
        block = blocks[at]
        rest = block.text[line.end() :]
        listed = "mailing list" in rest and ADDRESS.search(rest)
        posted = (several and block.place.tag not in WITHIN) or block.place.bits & THREAD
        if not listed and (not posted or lines[id(block.place)] > 1):  # several divide a text
            continue
        above = block.text[: line.start()].rstrip()
        size, under = len(rest.split()), []
        for other in range(at + 1, len(blocks)):
            if blocks[other].place is not block.place or size > LONGEST_SIGNATURE:
                break
            size += 1 + len(blocks[other].text.split())
            under.append(other)
        if size > LONGEST_SIGNATURE or not (above or (at and left[at - 1])):
            continue
        block.text = above
        left[at] = bool(above)
        for other in under:
            left[other] = False


def without_contents(blocks: Sequence[Block], left: list[bool], words: Sequence[int]) -> None:
    """Leave out the contents of a book that follow one page of it, and the heading over them."""
    taken = [at for at, take in enumerate(left) if take]
    size = len(taken)
    while size and is_link(blocks[taken[size - 1]]) and is_contents(blocks[taken[size - 1]].place):
        size -= 1
    unlinked = sum(words[at] for at in taken[:size] if not is_link(blocks[at]))
    if size == len(taken) or unlinked < LEAST_OTHER / 2:
        return
    over = blocks[taken[size - 1]]
    size -= over.place.tag in HEADINGS and is_link(over)
    for at in taken[size:]:
        left[at] = False


def without_edges(blocks: Sequence[Block], left: list[bool], words: Sequence[int]) -> None:
    """Leave out the links before the first and after the last block of a text that is no list."""
    links = [
        take and (is_link(block) or is_framed(block, size))
        for block, take, size in zip(blocks, left, words, strict=True)
    ]
    linked, all_words = sum_of(words, links), sum_of(words, left)
    if linked > MOST_LINKED * all_words and all_words - linked < LEAST_UNLINKED:
        links = [
            at and is_link(block) and is_framed(block, size)
            for at, block, size in zip(links, blocks, words, strict=True)
        ]
        if all_words - sum_of(words, links) < LEAST_OTHER / 2:
            return
    taken = [at for at, take in enumerate(left) if take]
    for ordered in (taken, taken[::-1]):
        for at in ordered:
            if not links[at]:
                break
            left[at] = blocks[at].place.tag in HEADINGS


def is_framed(block: Block, words: int) -> bool:
    """Whether a block is of a menu or a footer: by its elements, or by their names and its links.

    Names alone say little: `category-legal` is an article's, `menu-section` an inn's.
    """
    if block.place.bits & ELEMENTS and words <= LONGEST_OWNED:
        return True
    return bool(block.place.bits & FRAME) and block.linked > MOST_LINKED * len(block.text)


def is_contents(place: Place) -> bool:
    """Whether a place is in a list that is named as the contents of a book."""
    return bool(place.bits & BIT["page"]) and any(
        CONTENTS.search(around.key) for around in place.around()
    )


def is_link(block: Block) -> bool:
    """Whether a block is short links and nothing else."""
    spaces = len(block.text.split()) - 1
    return (
        block.linked >= MENU_LINKED * (len(block.text) - spaces)
        and len(block.text) <= 2 * LONGEST_ENTRY
    )


def sum_of(words: Sequence[int], takes: Sequence[bool]) -> int:
    """Return the number of words in the blocks that are taken."""
    return sum(size for size, take in zip(words, takes, strict=True) if take)


def is_menu(block: Block) -> bool:
    """Whether a block is a menu by itself: short lines, or parts of a line, each only a link."""
    if block.linked and LANGUAGES.fullmatch(block.text):
        return True
    if block.linked < MENU_LINKED * len(block.text) - len(block.text.split()):
        return False
    entries = [entry for entry in BETWEEN_ENTRIES.split(block.text) if entry.strip()]
    size = sum(map(len, entries))
    return (
        len(entries) >= LEAST_MENU
        and max(map(len, entries)) <= LONGEST_ENTRY
        and MENU_LINKED * size <= block.linked <= size  # a title with dashes is linked whole
    )
