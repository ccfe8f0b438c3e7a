"""Words of which questions about a whole are made: with none but these and stop words, a question names nothing.

A question is taken for one about the whole only if all its words are here, so that a word too few costs a digest and a
word too many costs a passage. Words that are often a subject (plan, system, law) are therefore left out.
"""

from __future__ import annotations

WHOLE = """
summary summaries summarise summarize summarised summarized summarising summarizing overview outline abstract digest
gist recap synopsis tldr tl;dr whole entire complete full overall general generally main major key central important
essential point idea topic theme subject matter content conclusion takeaway finding discussion discuss discussed talk
talked happen happened going cover covered covers story plot tale novel book chapter meeting conversation document
handbook manual guide
text article paper report page file dataset corpus collection note transcript everything thing stuff give tell
describe explain list provide write brief briefly short shortly please

tóm tắt tổng quan tổng kết khái quát nội dung chính chủ đề ý toàn bộ văn bản tài liệu câu chuyện cuộc họp bài viết
sách nói kể tất cả những điểm quan trọng hãy giúp ngắn gọn

总结 概述 概括 摘要 概要 大意 主要内容 主要观点 主题 要点 全文 整个 文章 文档 故事 情节 会议 讨论 内容
介绍 一下 请 是什么 讲了什么 这篇 这个 这份 的 有哪些 给我 把 说
總結 摘要 概述 主要內容 主題 要點 整個 文章 文件 故事 情節 會議 討論 內容
要約 概要 まとめ 全体 主な 内容 文書 会議 物語 あらすじ

resume résumé résumer synthese synthèse ensemble document histoire reunion réunion principal principaux idees sujet
zusammenfassung zusammenfassen überblick inhalt gesamte ganze dokument geschichte besprechung hauptpunkte thema
resumen resumir resumo contenido documento historia reunion reunião principales ideas tema puntos
"""
