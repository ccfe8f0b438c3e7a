"""Lines that pages carry around their text: what buttons, menus and page footers say, in the languages of the corpora.

Each pattern has to match a whole line. None has a place for a name, an address or a number other than a page's own:
what a reader may look for is not boilerplate.
"""

from __future__ import annotations

import re

# The number of a page and nothing else; it counts as one only within a series (services/chunking/noise.py).
PAGE_NUMBER = re.compile(
    r"[-–—\s]*(?:page|seite|p[aá]gina|trang|стр\.?|第)?\s*(?P<number>\d{1,4})"
    r"\s*(?:(?:/|of|von|de|sur|trên|из)\s*\d{1,4}|[页頁ページ]{1,3})?[-–—\s]*",
    re.IGNORECASE,
)

NAVIGATION = re.compile(
    r"\W*(?:"
    r"skip to (?:main )?(?:content|navigation)|(?:back|return|go) to (?:the )?top(?: of (?:the )?page)?"
    r"|previous(?: page)?\W+next(?: page)?|toggle navigation|print this page|share this (?:page|article)"
    r"|accept (?:all )?cookies|reject all(?: cookies)?|(?:manage )?cookie (?:settings|preferences)|all rights reserved"
    r"|zum inhalt springen|nach oben|alle cookies akzeptieren|alle rechte vorbehalten"
    r"|aller au contenu|haut de page|accepter (?:tous les )?cookies|tous droits réservés"
    r"|saltar al contenido|volver arriba|aceptar (?:todas las )?cookies|todos los derechos reservados"
    r"|bỏ qua nội dung|về đầu trang|chấp nhận cookie|trang trước\W+trang sau"
    r"|跳到(?:主要)?内容|返回顶部|回到顶部|上一页\W*下一页|接受(?:所有|全部)?cookies?|版权所有"
    r")\W*",
    re.IGNORECASE,
)
# Where a page stands in its site: "Home > Handbook > Safety".
BREADCRUMB = re.compile(
    r"(?:home|start(?:seite)?|accueil|inicio|trang chủ|首页)(?:\s*[|/>›»·]\s*\w+){2,8}", re.IGNORECASE
)
