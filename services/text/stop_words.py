"""Words that say nothing about a text's subject, as folded terms (`utils.words.fold`).

One flat set serves all languages, because a chunk does not say its language. It is therefore small, and a
word that is frequent in one language and meaningful in another is left out: `die`, `war`, `mit`, `sin`, `son`,
`era`, `ai`, `ini` and `c` are terms, and BM25's idf takes care of them where they are frequent.
"""

from __future__ import annotations

_ENGLISH = """
a about above after again all also am an and any are as at be because been before being below between both
but by can could did do does doing don down during each either etc few for from further had has have having
he her here hers him his how i if in into is isn it its itself just least less let like ll made make many
may me might more most much must my no nor not now of off often on once one only onto or other our out over
own per re same say see shall she should since so some such t than that the their them then there these they
this those through thus to too toward under until up upon us use used using very via was we were what when
where whether which while who whom whose why will with within without would yet you your yours d m s ve
"""
_VIETNAMESE = """
bi boi ca cac cach can cai cho chi chua chung co con cua cung da dang de den deu di do dung duoc gi
hay hoac hon khi khong la lai lam luc ma moi mot nao nay nen neu nhieu nhu nhung nua o phai qua ra rang rat
roi sau se thi theo thoi tren trong truoc tu tung va van vao vay ve vi viec voi
"""
_FRENCH = """
au aux avec ce ces cette comme dans de des du elle elles en est et etait ete etre eux fait il ils je la le
les leur leurs lui mais meme mes mon ne nos notre nous on ont ou par pas peut plus pour qu que qui sa se
sera ses si soit sont sur ta tout tous tres un une vos votre vous l
"""
_GERMAN = """
aber alle als am an auch auf aus bei beim bis da damit dann das dass dem den der des diese diesem diesen
dieser dieses durch ein eine einem einen einer eines er es fur haben hier ich ihr ihre im in ist kann kein
keine konnen mehr muss nach nicht noch nun nur ob oder ohne sehr sein seine sich sie sind so uber um und
uns unter vom von vor wenn werden wie wir wird wurde wurden zu zum zur
"""
_SPANISH_PORTUGUESE_ITALIAN = """
al ante asi cada como con cual cuando de del desde donde el ella ellos en entre es esa ese eso esta
estan estas este esto estos fue ha han hasta hay la las lo los mas mi muy nada ni nos o otra otro para pero
poco por porque puede que quien se segun ser si sobre su sus tambien tiene todo todos tras tu un una uno
unos y ya ao aos com da das depois dele ela ele eles em essa esse foi isso isto ja mais mesmo muito na nao
nas nem no num numa pela pelas pelo pode quando sao sem seu seus sua suas tem um uma voce alla anche che chi
ci dal dalla degli dei della delle di e gli i il loro ma nel nella non per piu puo quale quella questa
questo sono sul sulla tra
"""
_DUTCH_TURKISH_INDONESIAN = """
aan als bij dat deze dit een geen het hij is kan maar met naar niet nog ook op te uit van voor waar wat wel
werd worden ze zij zijn zo bir bu cok daha de gibi ile icin ise ki mi mu ne olan olarak sonra sekilde ve
veya adalah akan atau bisa dalam dan dari dengan di harus itu juga ke oleh pada tidak untuk yang
"""
_RUSSIAN_UKRAINIAN = """
а без более бы был была были было быть в вам вас весь во все всех вы где да даже для до его ее если есть еще
же за и из или им их к как когда которая которые который кто ли либо может можно мы на над не нет ни но о об
от очень по под при с со так также там то тоже только том тот у уже чем что чтобы эта эти это этого этом
этот я аби але або вже від він вона вони де є й його коли ми ні про та також тому це цей ці чи що щоб як
якщо ту be бути
"""
_HINDI_ARABIC = """
और का की के को में से है हैं यह इस पर कि जो तो भी नहीं एक था थी थे कर हो होता करने लिए ने या आप في من على
الى ان عن هذا هذه التي الذي مع ما لا كان او كل بين ذلك هو هي قد ثم لم
"""
_CHINESE = """
的 了 是 在 和 与 與 或 及 也 就 都 而 但 着 著 过 過 吗 嗎 呢 吧 我 你 您 他 她 它 这 這 那 有 不 为 為 以
于 於 之 其 将 將 把 被 从 從 对 對 中 要 会 會 一个 一個 一些 一种 一種 一样 一樣 也可 也会 也會 也是 不会
不會 不是 之前 之后 之後 也有 了一 什么 什麼 他们 他們 以下 以使 以及 以用 你会 你會 你可 你的 你们 你們
你也 你想 你需 你在 使得 但是 例如 其中 其他 其它 其实 其實 具有 另一 只是 只有 只要 可以 可用 可能 同样
同樣 同时 同時 因为 因為 因此 在这 在這 在你 如何 如果 如下 它们 它們 它会 它會 它是 它的 对于 對於 就像
就是 就会 就會 已经 已經 并且 並且 并不 並不 应该 應該 您可 您的 我们 我們 或者 所以 所有 有一 有些 有的
果你 果您 没有 沒有 然后 然後 现在 現在 由于 由於 的是 的一 的方 的应 的應 直到 而且 而不 而是 自己 至于
至於 若你 虽然 雖然 许多 許多 这个 這個 这些 這些 这样 這樣 这是 這是 这种 這種 这里 這裡 那么 那麼 那些
那个 那個 都是 都会 都會 还有 還有 还是 還是 非常 需要 是一 是在 用的 会在 會在 为了 為了 为你 為你 作为
作為 关于 關於 当你 當你 像这 像這 必须 必須 通过 透過 通常
"""
_JAPANESE = """
は が を に の で と も へ や か な た て い る れ し さ だ ま す う よ ら り つ け せ き く こ そ ど め え
ば あ あな あり ある いう いく いて いと いま いる うこ うと うな うに えば おり かし から かを がで があ
がり きま きる きた くだ くな けで ここ こで こと この これ さい させ され さら しい しか しく した して
しな しの しま しょ しれ すか すが すで すべ する すれ ずに せん せる そし その それ たい たと たの たは
たら たり たん だけ だし ださ ため たっ つか てい てお ては ても てく でき でし です では での でも であ
でに とい とが とき とし とで とに との とは とも とを とん どの ない なく なけ なし なた なっ なの なら
なり なる なん にし にす にな には にも によ ので のが のに のは のも のよ のを はな はで はあ はま べき
べて べる ほと ほん まし ます ませ また まで まり みま むし めに めの もし もで もの よう より よる らい
らく らな らの らに られ りが りに りま りで るか るこ るた ると るの るは るも るよ れが れた れて れに
れは れば れま れら れる れを わり われ んで んど ょう った って っと
"""
_KOREAN = """
은 는 이 가 을 를 의 에 와 과 로 도 수 그 더 등 것 할 및 것을 것이 것은 것입 경우 그리 까지 니다 다는 다른
다면 대한 대해 됩니 되는 되지 되어 들은 들을 들이 또는 또한 때문 려면 리고 면서 모든 부터 서는 세요 수도
수를 습니 아니 않습 어떤 에는 에서 여러 예를 으로 위한 위해 이는 이다 이런 이를 이제 인할 입니 있는 있다
있습 있으 지만 처럼 하게 하고 하기 하나 하는 하다 하려 하면 하세 하여 하지 한다 함께 합니 해서 해야 했다
같은 므로 도록 매우
"""

STOP_WORDS: frozenset[str] = frozenset(
    " ".join(
        (
            _ENGLISH,
            _VIETNAMESE,
            _FRENCH,
            _GERMAN,
            _SPANISH_PORTUGUESE_ITALIAN,
            _DUTCH_TURKISH_INDONESIAN,
            _RUSSIAN_UKRAINIAN,
            _HINDI_ARABIC,
            _CHINESE,
            _JAPANESE,
            _KOREAN,
        )
    ).split()
)
"""Folded words; for scripts without spaces, single letters and the pairs of letters that `words` makes."""

_AMBIGUOUS = """
ai ban bin con dei die dos hai hat hay hin len man men mit mon nun os sin sind son suo war was wer
"""
_GENERIC_HEADINGS = """
about|additional information|additional resources|appendix|background|basics|conclusion|conclusions|contents
description|details|example|examples|faq|further reading|getting started|information|inputs|intro|introduction
long description|more|more information|next steps|note|notes
options|outputs|overview|parameters|prerequisites|recap
references|related content|related links|remarks|resources
results|see also|short description|summary|synopsis|syntax
table of contents|technical details|tip|tips|usage|warning|what's next|keywords
ban ket luan|gioi thieu|ket luan|muc luc|tom tat|tong quan|vi du
apercu|conclusion|exemple|exemples|recapitulatif|resume|vue d'ensemble
beispiel|beispiele|einfuhrung|fazit|ubersicht|uberblick|zusammenfassung|technische details
conclusao|conclusion|ejemplo|ejemplos|exemplo|exemplos
introducao|introduccion|recapitulando|recapitulacion|resumen|resumo
вывод|заключение|обзор|пример|примеры|резюме|введение|огляд|приклад|підсумок|вступ
giris|ornek|ozet|genel bakis
例|例子|使い方|参考|回顾|回顧|小结|小結|总结|總結|概览|概覽|概要|概述
目录|目錄|示例|範例|简介|簡介|结论|結論|说明|說明|まとめ|はじめに|おわりに
개요|소개|예제|예시|요약|정리
"""
_INTRODUCING = """
about|foreword|intro|introduction|index|overview|preface|readme|welcome|einfuhrung|einleitung|ubersicht|uberblick|vorwort
apercu|presentation|introduccion|introducao|introduzione|vision general|prologo|введение|обзор|вступ|огляд|gioi thieu
tong quan|giris|genel bakis|简介|簡介|介绍|概述|概览|前言|はじめに|概要|소개|개요
"""
_VAGUE_WORDS = """
able actually add allow always another answer available back best better call case certain change chapter code come
common consider contain create current default describe different easy end ensure even every example exist fact
false figure find first follow following full general get give go good great hand happen help here high however
idea include instead kind know last later lead learn left list listing little long look lot main mean new next note
number okay old part place point possible provide put question read really reason refer require rest result right
run same second section see set show similar simple simply single something specify start still supply sure take
talk tell term thing think three time true try two type understand value want way well whole word work write yeah
year yes
使用 进行 進行 情况 情況 方式 方法 问题 問題 内容 內容 部分 时候 時候 相同 不同 任何 现在 現在 提示 注意 例子
"""

AMBIGUOUS_WORDS: frozenset[str] = frozenset(_AMBIGUOUS.split())
"""Function words of one language that mean something in another: worth an index entry, but no title alone."""

GENERIC_HEADINGS: frozenset[str] = frozenset(_GENERIC_HEADINGS.strip().replace("\n", "|").split("|"))
"""Folded headings that say what a section is for and not what it is about."""

INTRODUCING: frozenset[str] = frozenset(_INTRODUCING.strip().replace("\n", "|").split("|"))
"""Folded names of what opens a collection and says what it is about."""

VAGUE_WORDS: frozenset[str] = frozenset(_VAGUE_WORDS.split())
"""Words too general to be a title by themselves; in company they may be one (`time zone`, `case study`)."""
