"""Words that tell how well a sentence stands by itself, in the languages that documents are mostly written in.

Lower case as written; for scripts without spaces, beginnings or parts. A language that is missing here loses only these
hints: its sentences are ranked by what they say alone.
"""

from __future__ import annotations

_LEANING = """
this that these those it its they them their he she his her here there such so but and or also too however then thus
therefore hence instead otherwise finally next again moreover furthermore additionally similarly likewise now both
fortunately unfortunately besides consequently meanwhile still yet
specifies indicates returns gets sets
cela ceci cette ce ces mais donc ensuite enfin ainsi il elle ils elles
dies diese dieser dieses aber daher dann es er sie
esto esta este esa ese estos pero entonces luego isso isto essa esse mas então
это эта этот эти но однако поэтому затем він вона це але тому
nhưng bu ancak ama böylece यह ये लेकिन इसलिए
"""
_LEANING_BEGINNINGS = """
for example|for instance|in this|in that|in these|in addition|in other words|as a result|because of|by contrast
zum beispiel|par exemple|por ejemplo|por exemplo|например|tuy nhiên|do đó|điều này|sau đó|vì vậy
这|這|那|它|他|她|因此|所以|但|然而|此外|不过|不過|然后|然後|例如|接着|接著
彼|これ|それ|この|その|しかし|また|そして|ただし|そのため|例えば|たとえば|つまり
이것|이는|그러나|하지만|그리고|그래서|또한|예를
"""
_ALSO = """
also too again however therefore auch également aussi también também также також
"""
_NARRATING = """
we i you our my your let suppose imagine remember
wir ich unser unsere mein nous je vous notre mon nosotros nuestro nuestra мы вы наш мой chúng
"""
_SUBORDINATE = """
if when while because since although though even as after before unless once whenever whether until during despite given
to in for by with without using instead rather just like unlike
wenn weil da obwohl während nachdem bevor si lorsque quand comme bien pour dans
cuando aunque mientras para se quando embora
если когда хотя чтобы для якщо коли щоб khi nếu để trong
"""
_SUBORDINATE_BEGINNINGS = """
如果|当|當|因为|因為|由于|由於|虽然|雖然|为了|為了|在|もし|만약
"""
_DEFINING = """
is are was were means allow allows let lets enable enables provide provides refers describe describes contain contains
consists represents supports
est sont permet permettent ist sind ermöglicht es son permite permiten é são
là cho является являются позволяет это є дозволяє
"""
_POINTING = """
above below following listing figure fig table see click
voir ci-dessous ci-dessus siehe unten oben folgende siguiente seguinte abaixo ниже выше
"""

LEANING = frozenset(_LEANING.split())
"""First words that lean on a sentence before, which may not be there, or on a heading, as a parameter's description."""

LEANING_BEGINNINGS = tuple(_LEANING_BEGINNINGS.strip().replace("\n", "|").split("|"))

ALSO = frozenset(_ALSO.split())
"""Words that lean on a sentence before when they stand second or third."""

NARRATING = frozenset(_NARRATING.split())
"""First words of a step in a walk-through, told to "you" or by "us"."""

NARRATING_BEGINNINGS = ("我们", "我們", "你", "您", "私")

SUBORDINATE = frozenset(_SUBORDINATE.split())
"""First words of a condition, reason or manner: what follows holds in a case, not in general."""

SUBORDINATE_BEGINNINGS = tuple(_SUBORDINATE_BEGINNINGS.strip().split("|"))

DEFINING = frozenset(_DEFINING.split())
"""Verbs that say what something is, near the beginning of a sentence."""

DEFINING_PARTS = ("是", "とは", "です", "입니다", "允许", "允許", "提供", "できます")

POINTING = frozenset(_POINTING.split())
"""Words for what a summary leaves out: figures, code, other places."""

POINTING_PARTS = ("如下", "以下", "上图", "上圖", "次の", "下記", "다음", "아래", "http://", "https://")
