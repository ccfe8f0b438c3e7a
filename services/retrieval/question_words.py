"""Words of asking, in the languages that questions mostly come in. All folded: lower case, without diacritics.

They decide little by themselves. A question that is worded as one about a whole (`WHOLE`) is one only if what is left
of it without the words of asking (`ASKING`, `ASKING_PARTS`) is nothing, or the name of a document, a section or a tag.
A language that is missing here has its questions answered by passages.
"""

from __future__ import annotations

WHOLE = (
    # English
    r"\bsummari[sz]e[ds]?\b|\bsummari[sz]ing\b|\bsummar(?:y|ies)\b(?=\W*(?:$|of|for|about|on|please|in\b))"
    r"|\bsum up\b",
    r"\b(?:overview|gist|synopsis|recap|run-?down)\b(?=\W*(?:$|of|for|about|on|please|in\b))|\btl;?dr\b"
    r"|\bin a nutshell\b",
    r"\bbig(?:ger)? picture\b|\b(?:key |main )?take-?aways?\b|\bplot\b(?=\W*(?:$|of))",
    r"\b(?:main|key|central|core|major|important|essential|overall|general|whole|salient) (?:points?|ideas?"
    r"|topics?|themes?"
    r"|messages?|subjects?|contents?|findings|conclusions|arguments?|discussion|things|plot|story)\b",
    r"\b(?:what|which)\b.*\b(?:about|cover(?:s|ed)?|deals? with|discuss(?:ed)?|happen(?:s|ed)?|contain(?:s"
    r"|ed)?|in here"
    r"|say|said)\b(?:[^\w]+(?:here|in|at|during|the|this|these|those|all|general|meeting|text|book|document"
    r"|notes?|files?"
    r"|conversation|discussion|story))*\W*$",
    r"\bwhat\b.* (?:book|chapter|section|document|page|file|text|guide|handbook|manual)\b.*\b(?:about|covers?"
    r"|deals? with)",
    r"\bwhat'?s in (?:here|it|this|there)\b|\b(?:topics?|themes?|subjects?) (?:are|is|does|do|that|covered"
    r"|discussed)\b",
    # German
    r"\bzusammenfass\w*|\bfasse?n?\b.*\bzusammen\b|\buberblick\b|\bubersicht\b|\bkurzfassung\b|\binhaltsangabe\b",
    r"\bworum\b.*\b(?:geht|handelt|dreht)|\bum was geht|\bwovon (?:handelt|erzahlt|spricht)"
    r"|\bwas steht\b.*\b(?:in|drin)\b",
    r"\b(?:haupt|kern)(?:punkte?|aussagen?|them[ae]\w*|ideen?|inhalte?|gedanken)\b|\bdas (?:wichtigste"
    r"|wesentliche)\b",
    r"\b(?:wichtigsten?|zentralen?|wesentlichen?|grossen?)\b (?:punkte?|aussagen?|them\w+|inhalte?|gedanken"
    r"|ideen|linien)\b",
    r"\bthemen\b.*\b(?:behandelt|gibt|vor|besprochen|angesprochen)|\binhalt\b|\bhandlung\b|\bwurde\b.*\bbesprochen\b",
    # French
    r"\bresume\w*\b(?! (?:des|du|de la) (?:mesures|resultats))|\bsynthese\b|\bapercu\b|\bvue d.ensemble\b"
    r"|\bgrandes lignes\b",
    r"\bde quoi (?:parle|traite|s.agit|est-il|il|ca|cela|discute)|\bl.essentiel\b|\ben (?:bref|resume"
    r"|quelques mots)\b",
    r"\b(?:points?|idees?|themes?|sujets?) (?:cles?|principa\w+|essentiel\w*|importants?|centra\w+|generau?x?"
    r"|general)\b",
    r"\b(?:sujets?|themes?)\b.*\b(?:abord|trait|evoqu)\w*|\bque (?:contient|raconte|dit)\b|\b(?:discute"
    r"|evoque|aborde)\b",
    # Spanish, Portuguese, Italian
    r"\bresum(?:en|e|ir|elo|ame|a|o)\b|\bsintesis\b|\bsintese\b|\briassu\w+|\bpanorama\w*\b|\bvis(?:ion"
    r"|ao) (?:general|geral)\b",
    r"\b(?:de|sobre|do) (?:que|cosa)\b.*\b(?:trata|va|habla|fala|parla|tratta)\b|\b(?:sobre|di) (?:que"
    r"|cosa) es\b|\bsobre o que\b",
    r"\b(?:puntos?|pontos?|punti|ideas?|ideias?|idee|temas?|temi|argomenti) (?:clave|chave|chiave|principa\w+"
    r"|centra\w+"
    r"|importantes?|importanti|esencial\w*)\b|\ben pocas palabras\b|\ba grandes rasgos\b|\blo (?:esencial"
    r"|mas importante)\b",
    r"\bque (?:temas|contiene|se (?:discutio|hablo|trato))\b|\bdi cosa\b",
    # Dutch, Turkish, Indonesian
    r"\bsamenvat\w*|\boverzicht\b|\bwaar(?:over)? gaat\b|\bhoofdpunten\b|\bozet\w*|\bne hakkinda\b"
    r"|\bringkas\w*|\btentang apa\b",
    # Russian, Ukrainian
    r"\bрезюм\w*|\bобзор\w*|\bогляд\w*|\bкратк\w+ (?:содержан|излож|пересказ|опис)\w*|\bкоротк\w+ змiст"
    r"|\bперескаж\w*|\bсут[ьи]\b",
    r"\b(?:о|об|про) (?:чем|что|що)\b|\bподытож\w*|\bобобщ\w*|\bподведи\w* итог|\bпiдсум\w*|\bв двух словах\b",
    r"\b(?:основн|главн|ключев|важн)\w+ (?:мысл|иде|тем|пункт|вывод|момент|положен|тезис|думк)\w*",
    # Vietnamese
    r"\btom (?:tat|luoc)\b|\btong (?:quan|ket)\b|\bkhai quat\b|\bdai y\b|\b(?:y|diem|noi dung|chu de"
    r"|luan diem) (?:chinh|chu yeu"
    r"|cot loi|quan trong)\b",
    r"\b(?:noi|viet|ban|trinh bay|de cap|thao luan)\b.*\b(?:ve|den) (?:cai |dieu |van de |nhung )?gi\b"
    r"|\bchu de nao\b",
    # Chinese
    "总结一下|總結一下|^(?:请|請)?(?:帮我|給我|给我)?(?:简单|用.{1,4}话)?(?:总结|總結|概括|概述|归纳|歸納)"
    "|概括|概述|摘要|大意|梗概|总览|總覽|综述",
    "(?:主要|核心|中心|大概|整体|总体)(?:的)?(?:内容|內容|观点|觀點|思想|意思|主题|議題|情况|讲|講|说|說)"
    "|要点|要點|全貌|整体的",
    "(?:讲|講|说|說|写|寫|讨论|討論|介绍|涉及)(?:了|的是|到)?(?:些|哪些|的)?(?:什么|什麼|啥|哪些|主题)"
    "|关于(?:什么|哪)|關於什麼|简要介绍|^介绍一下",
    "(?:总结|總結|概要)(?:。|！|!|$)",
    # Japanese
    "要約|概要|要点|あらすじ|全体像|大意|要旨|総括|(?:を|に)?まとめて|ざっくり|何について|何の(?:話|本|文書|資料|ため)",
    "(?:どんな|どういう|どのような|主な|主要な|おもな)(?:内容|ポイント|論点|主張|テーマ|話題|こと)|何が(?:書"
    "|議論|話|述)",
    # Korean, Hindi, Arabic
    "요약|개요|요점|줄거리|무엇에 (?:관한|대한)|(?:무슨|어떤|주요) 내용|सारांश|किस बारे में|मुख्य (?:बिंदु"
    "|बातें)|ملخص|لخص|عن ماذا",
)
"""Regular expressions: how questions about a whole are worded."""

NARROW = (
    r"\b(?:who|whom|whose|when|where|why|how)\b",
    r"\b(?:wer|wen|wem|wann|wo|warum|wieso|wie)\b",
    r"\b(?:qui|quand|combien|pourquoi|comment)\b|\bou (?:se|est|sont|puis|trouve)\b",
    r"\b(?:quien\w*|cuando|donde|cuant\w+|quem|quando|onde|quant\w+|chi|dove)\b|\bpor que\b",
    r"\b(?:кто|когда|где|сколько|почему|как|хто|коли|де|чому)\b",
    r"\b(?:bao nhieu|o dau|khi nao|may gio|tai sao|the nao|lam sao)\b|^ai\b",
    "谁|誰|何时|什么时候|哪里|哪儿|在哪|多少|几点|几个|几天|为什么|為什麼|怎么|怎样|如何",
    "いつ|どこ|いくら|いくつ|何時|何人|何個|何回|何日|なぜ|どうやって|どうすれば|誰",
    "누가|언제|어디|왜|어떻게|얼마",
)
"""Regular expressions: words that ask for a person, a time, a place, a reason, a number or a way."""

ASKING = """
der die das den dem was sind son sont suo sino era die quel quels quelle quelles cual cuales ici est il elle que qu
qui esto aqui ici moi tu me faire do that it all summary summarise summarize summarising sum up overview abstract
digest gist recap synopsis tldr tl dr nutshell big picture takeaway whole entire complete full overall general main
key major central important essential core point idea topic theme subject message content conclusion finding
argument discussion discuss talk happen going on cover deal say said contain story plot tale novel book chapter
section part meeting conversation document handbook manual guide text article paper report page file dataset corpus
collection note transcript everything thing stuff folder vault give tell describe explain show list provide write
need want please brief briefly short shortly quick simple sentence word few two three one actually really here
somebody someone anybody
zusammenfassen zusammenfassung zusammen fasse fassen uberblick ubersicht kurzfassung inhalt inhaltsangabe inhalte
worum wovon um geht's geht handelt dreht eigentlich gib gebe nenne bitte kurz kurze wiedergeben stichpunkten
stichworten wichtigste wichtigsten wichtig wesentliche zentrale zentralen hauptpunkte hauptthemen kernaussagen
kernpunkte hauptaussagen punkte aussagen thema themen behandelt besprochen besprechung steht gesamte gesamten ganze
ganzen dokument dokumente dokumenten buch kapitel abschnitt text texte datei geschichte handlung sagt mir kannst
konntest uns satzen drei resume resumer resumez fais faire donne donnez moi peux peut-tu synthese apercu vue
d'ensemble ensemble essentiel bref quoi parle traite s'agit agit question contient dit raconte principal principaux
principale principales cle cles idee idees sujet sujets aborde abordes theme general generale discute reunion
chapitre livre texte document section partie histoire quelques phrases phrase resumen resumeme resumir resumo hazme
hacer dame quiero sintesis panorama vision visao geral puntos punto pontos clave temas tema trata tratan va habla
capitulo seccion libro texto documento archivo coleccion contiene pocas palabras dice discutio reunion central favor
riassunto riassumi sintesi panoramica capitolo sezione libro frases tom tat tong quan ket khai quat noi dung chinh
chu de y ve toan bo van ban tai lieu cau chuyen cuoc hop bai viet sach chuong phan muc nay ke tat ca nhung diem quan
trong hay giup toi ngan gon dieu cai gi nhin ban nguoi luan de cap nao краткое кратко содержание обзор перескажи
резюме суть основные основная главные главная ключевые мысли мысль идеи идея темы тема пункты выводы книга книге
книги глава главе главу главы раздел раздела документ документа документе текст текста чем сделай дай расскажи
подытожь обобщи пожалуйста идет речь говорится samenvatting samenvatten overzicht hoofdstuk gaat ozet ozetle bolum
hakkinda ringkasan bab
"""
"""Words of asking, and for what a text may be called: what else a question has is what it asks about."""

ASKING_PARTS = """
总结一下 總結一下 总结 總結 概括 概述 概要 摘要 大意 梗概 归纳 总览 综述 要点 要點 主要 核心 中心思想 整体 总体 全貌
大概 简要 介绍 一下 内容 內容 观点 觀點 主题 主題 意思 讲了 講了 讲的 讲 講 说了 说的 讨论了 讨论 討論了 討論 涉及
关于 關於 什么 什麼 哪些 有哪些 些 啥 这篇 这份 这本 这个 这些 这一 这里面 这里 这 那 本 文章 文档 文件 资料 全文
整个 书 章节 章 节 部分 会议 會議 手册 请 請 帮我 给我 給我 我想 告诉 一个 三句话 一句话 用 把 的 了 吗 呢 是 在 都
里 中 和 篇 份 要約して 要約 概要 要点 あらすじ 全体像 全体 大意 要旨 総括 まとめて まとめ ざっくり 何について
書かれて 書いて 議論され 何が 何の どんな どういう どのような 主な 主要な 内容 ポイント 論点 テーマ 話題 この その
これ ここ 文書 ドキュメント 資料 記事 本 章 節 会議 ファイル 話 教えて ください 下さい お願い します 説明して
説明する 説明 簡単に 短く 三行で 一言で について 何 いますか ですか ますか すると しましたか ましたか されました
요약해 요약 개요 요점 줄거리 무엇에 관한 대한 무슨 어떤 주요 내용 문서 책 장 주세요
"""
"""The same for scripts without spaces."""
