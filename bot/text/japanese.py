"""The bot in Japanese: every sentence that `language.say` is given, and every name and description of a command.

Grouped by the file that says it. The gaps, `{like this}`, and what stands in backticks are the same on both sides; the
names of options are what the reader sees of them.
"""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    # several files
    ", ": "、",
    "{named} and {count} more": "{named} ほか{count}件",
    "seed {seed}": "シード値 {seed}",
    "1 picture": "1枚",
    "{count} pictures": "{count}枚",
    "1 job": "1件",
    "{count} jobs": "{count}件",
    "1 step": "1ステップ",
    "{count} steps": "{count}ステップ",
    "1 credit": "1クレジット",
    "{count} credits": "{count}クレジット",
    "1 day": "1日",
    "{count} days": "{count}日",
    "1 person": "1人",
    "{count} people": "{count}人",
    "Older": "古い方へ",
    "Blocked words": "禁止ワード",
    "Prefix and negative": "プレフィックスとネガティブ",
    "Artists and LoRAs": "絵師とLoRA",
    "Size and steps": "サイズとステップ数",
    "How many": "枚数と件数",
    "Roles without any limit": "無制限のロール",
    # bot/components/base.py
    "I cannot get at my memory right now, so nothing was begun or changed. Try again in a minute.": (
        "いまデータベースに接続できないため、何も開始・変更していません。1分ほどしてからもう一度お試しください。"
    ),
    "I am being restarted and am back in a moment, so nothing was begun or changed. Try again then.": (
        "再起動中のため、何も開始・変更していません。まもなく戻りますので、そのあとでもう一度お試しください。"
    ),
    "Something went wrong, and not by your fault. Try again; if it stays so, tell whoever runs this bot: {id}": (
        "ボット側で問題が発生しました。もう一度お試しください。続くようでしたら、"
        "この番号をボットの運営者にお知らせください: {id}"
    ),
    # bot/messages/job.py
    "Waiting in line": "順番待ちです",
    "Waiting in line, 1 job before it": "順番待ちです（前に1件）",
    "Waiting in line, {count} jobs before it": "順番待ちです（前に{count}件）",
    "Drawing {bar} step {step} of {steps}": "生成中 {bar} ステップ {step}/{steps}",
    "re-rolled": "再生成",
    "varied": "バリエーション",
    "upscaled": "高解像度化",
    "edited": "編集",
    "drawn again": "同じ条件で生成",
    "seeds {seeds}": "シード値 {seeds}",
    "Nothing came of this.": "画像は生成されませんでした。",
    "The engine broke down while drawing this, twice. Please try again with other settings.": (
        "生成中にエンジンが2回停止しました。設定を変えてもう一度お試しください。"
    ),
    "The finished picture does not fit this channel, so it is not shown.": (
        "完成した画像はこのチャンネルに適さないため、表示しません。"
    ),
    "The picture is too large for Discord, even made smaller. Please ask for a smaller size.": (
        "画像を縮小しても Discord の上限を超えています。小さいサイズでお試しください。"
    ),
    "Discord did not take the picture. Please try again.": (
        "Discord が画像を受け付けませんでした。もう一度お試しください。"
    ),
    "You were not charged.": "クレジットは消費されていません。",
    "This is being drawn already.": "これはすでに生成中です。",
    "You have {waiting} pictures waiting, and {limit} is the most. Try again when one is done.": (
        "順番待ちが{waiting}件あります（上限{limit}件）。1件終わってからお試しください。"
    ),
    "That would cost {cost} credits, and you have used {spent} of your {limit} of the last 24 hours. "
    "There will be room for it {when}.": (
        "これには{cost}クレジットが必要ですが、直近24時間で{limit}のうち{spent}を使用済みです。{when}に生成できるようになります。"
    ),
    "That would cost {cost} credits, more than the {limit} you have for 24 hours. Ask for fewer pictures, "
    "fewer steps or a smaller size.": (
        "これには{cost}クレジットが必要で、24時間の上限{limit}を超えています。"
        "枚数やステップ数を減らすか、サイズを小さくしてください。"
    ),
    # bot/jobs/delivery.py
    "It may not be shown in this channel any more: {reason}": "このチャンネルでは表示できなくなりました: {reason}",
    "The PNG was too large for Discord, so this is a smaller WebP, without the settings inside.": (
        "PNG が Discord の上限を超えたため、生成情報を含まない小さな WebP で投稿しました。"
    ),
    # bot/components/images.py
    "Re-roll": "再生成",
    "Vary (subtle)": "少し変える",
    "Vary (strong)": "大きく変える",
    "Upscale": "高解像度化",
    "Edit…": "編集…",
    "Info": "詳細",
    "Delete for everyone": "全員から削除",
    "Pick one of them…": "1枚を選ぶ…",
    "Picture {number}": "{number}枚目",
    "This belongs to a picture that is not remembered any more.": "この画像の記録はもう残っていません。",
    "Only the person who asked for this can edit it. **Re-roll** and **Vary** are open to you.": (
        "編集できるのは依頼した本人だけです。**再生成**や**変える**はどなたでも使えます。"
    ),
    "Only the person who asked for this, or a moderator, can delete it.": (
        "削除できるのは依頼した本人かモデレーターだけです。"
    ),
    "Delete this for everyone, and from the history of who asked for it?": (
        "全員の画面と、依頼した人の履歴から削除しますか？"
    ),
    # bot/components/deletion.py
    "There is no message to delete.": "削除するメッセージがありません。",
    "It is out of the history, but its message is out of my reach: delete it yourself.": (
        "履歴からは削除しましたが、メッセージに手が届きません。ご自身で削除してください。"
    ),
    # bot/components/edit_modal.py
    "Edit": "編集",
    "Prompt": "プロンプト",
    "Seed (empty: a new one)": "シード値（空欄なら新しい値）",
    "Size, steps, CFG, scheduler": "サイズ、ステップ数、CFG、スケジューラー",
    "What was to be edited is not remembered any more. Ask for it with `/anima imagine`.": (
        "編集する内容の記録がもう残っていません。`/anima imagine` で新しく依頼してください。"
    ),
    "The seed is a whole number from 0 to {most}, or empty for a new one.": (
        "シード値は 0 から {most} までの整数です。空欄なら新しい値になります。"
    ),
    "That cannot be drawn; look at {fields} again.": "このままでは生成できません。{fields} をご確認ください。",
    "I cannot tell what “{part}” means. Settings look like this: {example}": (
        "「{part}」の意味がわかりません。設定は次のように書いてください: {example}"
    ),
    # bot/components/hint.py
    "About your prompt:": "プロンプトについて:",
    "Like this it does what you mean:": "次のように書くと意図どおりになります:",
    "Draw this instead": "こちらで生成する",
    "That prompt is not remembered any more. Ask anew with `/anima imagine`.": (
        "そのプロンプトの記録はもう残っていません。`/anima imagine` で新しく依頼してください。"
    ),
    "`<lora:…>` in a prompt does nothing here; use the option `lora`.": (
        "プロンプト内の `<lora:…>` は効きません。オプション `lora` をお使いください。"
    ),
    "Embeddings are made for other models; here they are only odd words.": (
        "Embedding は他のモデル用のもので、ここではただの文字として扱われます。"
    ),
    "`BREAK` means nothing to Anima.": "`BREAK` は Anima では意味を持ちません。",
    "Brackets that belong to a name need a backslash each, or they count as weights.": (
        "名前に含まれる括弧には、それぞれ前にバックスラッシュが必要です。ないと重みとして扱われます。"
    ),
    "A bracket has no partner.": "対応する括弧がありません。",
    "Anima's tags have spaces, not underscores (except `score_7` and its like).": (
        "Anima のタグはアンダースコアではなく空白で区切ります（`score_7` などを除く）。"
    ),
    "Anima's tags are lower case.": "Anima のタグは小文字で書きます。",
    "An artist works only with `@` in front.": "絵師名は前に `@` を付けないと効きません。",
    "A weight so near to 1 shows no effect; Anima needs stronger ones than SDXL.": (
        "1 に近い重みは効果がありません。Anima では SDXL より強い重みが必要です。"
    ),
    # bot/jobs/submission.py
    "Anima cannot see which channel this is, so there is nowhere to draw to. Try in another channel.": (
        "チャンネルを確認できないため、投稿先がありません。別のチャンネルでお試しください。"
    ),
    "There is no LoRA called “{name}” here. Choose one from those that are offered while you type.": (
        "「{name}」という LoRA はありません。入力中に表示される候補から選んでください。"
    ),
    "There is no turbo LoRA here. Leave `turbo` away.": "ターボ用の LoRA がありません。`ターボ` を外してください。",
    "The picture's message is out of my reach, so it cannot be made larger.": (
        "画像のメッセージに手が届かないため、高解像度化できません。"
    ),
    "One of these settings is out of bounds, so this cannot be drawn. Look at them again.": (
        "範囲外の設定があるため生成できません。設定をご確認ください。"
    ),
    "This picture is as large as pictures may be here.": "この画像は、ここで許されている最大の大きさです。",
    # bot/components/info.py
    "How it was made": "生成情報",
    "Negative prompt:": "ネガティブプロンプト:",
    "Seed": "シード値",
    "Drawn anew from a picture": "元画像から描き直した割合",
    "Variation seed and strength": "バリエーションのシード値と強さ",
    "{share} drawn anew": "元画像から{share}描き直し",
    "asked for by {who}, {when}": "依頼: {who}、{when}",
    "{credits} credits, drawn in {seconds} s": "{credits}クレジット、生成時間{seconds}秒",
    "made from [this picture]({address})": "[この画像]({address})から生成",
    "made from it: {links}": "ここから生成した画像: {links}",
    # bot/messages/attachments.py
    "That file is too large to be drawn from; {limit} MiB is the most.": (
        "ファイルが大きすぎます。{limit} MiB までの画像をお使いください。"
    ),
    "That picture has {width} x {height} pixels, more than I can take. Make it smaller first.": (
        "画像が {width} x {height} ピクセルと大きすぎます。縮小してからお使いください。"
    ),
    "That file is no picture that I can read. Attach a PNG, JPEG or WebP.": (
        "読み取れる画像ではありません。PNG、JPEG、WebP のいずれかを添付してください。"
    ),
    "Discord does not hand that picture out any more.": "Discord からその画像を取得できなくなりました。",
    # bot/generation/sizes.py
    "square": "正方形",
    "landscape": "横長",
    "portrait": "縦長",
    "I do not know that aspect. Choose one that is offered, or write a ratio such as 2:3 or a size: 832x1216.": (
        "その縦横比はわかりません。候補から選ぶか、2:3 のような比率か 832x1216 のようなサイズを書いてください。"
    ),
    # bot/commands/imagine.py
    "A seed is a whole number from 0 to {most}.": "シード値は 0 から {most} までの整数です。",
    "You have no preset called “{name}”. `/anima preferences` shows yours.": (
        "「{name}」というプリセットはありません。`/anima preferences` で確認できます。"
    ),
    # bot/text/markdown.py
    "(its words are not kept any more)": "（プロンプトの保存期間が過ぎました）",
    # bot/rules/policy.py
    "Sexual content about minors is not drawn, here or anywhere. Please ask for something else.": (
        "未成年に関する性的な内容は、どこであっても生成できません。別の内容をお試しください。"
    ),
    "You cannot draw here at the moment. If you think that is a mistake, ask who runs the server.": (
        "現在、ここでは画像を生成できません。心当たりがない場合は、サーバーの管理者にお問い合わせください。"
    ),
    "Drawing is paused in this server. Try again later, or ask an admin when it goes on.": (
        "このサーバーでは生成を一時停止しています。しばらくしてからお試しいただくか、"
        "再開の予定を管理者にお尋ねください。"
    ),
    "Pictures are drawn in other channels of this server. Try {channels}.": (
        "このサーバーでは別のチャンネルで生成できます。{channels} をご利用ください。"
    ),
    "Drawing here takes one of these roles: {roles}. Ask an admin for one.": (
        "ここで生成するには、次のいずれかのロールが必要です: {roles}。管理者にご相談ください。"
    ),
    "{width} x {height} is too large: {limit} pixels is the longest side here. Choose a smaller size.": (
        "{width} x {height} は大きすぎます。ここでは長辺 {limit} ピクセルまでです。もっと小さいサイズを選んでください。"
    ),
    (
        "{width} x {height} is too large: {limit:g} megapixels is the most here, such as {side} x {side}. Choose a "
        "smaller size."
    ): (
        "{width} x {height} は大きすぎます。ここでは {limit:g} メガピクセル（{side} x {side} など）までです。"
        "もっと小さいサイズを選んでください。"
    ),
    "{steps} steps are too many: {limit} is the most here. Choose fewer.": (
        "{steps}ステップは多すぎます。ここでは{limit}ステップまでです。ステップ数を減らしてください。"
    ),
    "{count} pictures at a time are too many: {limit} is the most here. Choose fewer.": (
        "一度に{count}枚は多すぎます。ここでは{limit}枚までです。枚数を減らしてください。"
    ),
    "CFG {cfg_scale:g} is too low: below {limit:g} the negative prompt would be drawn. Choose {limit:g} or more.": (
        "CFG {cfg_scale:g} は低すぎます。{limit:g} 未満ではネガティブプロンプトの内容が描かれてしまいます。"
        "{limit:g} 以上を指定してください。"
    ),
    "This server does not want pictures of: {terms}. Leave that out and try again.": (
        "このサーバーでは次の内容の画像を生成できません: {terms}。取り除いてもう一度お試しください。"
    ),
    (
        "This channel is for everyone, so there is nothing here of: {terms}. Leave that out, or ask in an "
        "age-restricted channel."
    ): (
        "ここは全員向けのチャンネルなので、次の内容は生成できません: {terms}。取り除くか、"
        "年齢制限付きチャンネルでお試しください。"
    ),
    "The admins keep pictures safe here, so there is nothing of: {terms}. Leave that out and try again.": (
        "ここでは管理者の設定により全年齢向けの画像のみ生成できるため、次の内容は生成できません: {terms}。"
        "取り除いてもう一度お試しください。"
    ),
    # bot/commands/queue.py
    "{jobs} waiting in line, {in_hand} being drawn.": "順番待ち {jobs}、生成中 {in_hand}件です。",
    "Nothing waits and nothing is being drawn.": "待っている画像も生成中の画像もありません。",
    "None of yours is among them. `/anima imagine` draws one.": (
        "あなたの画像はありません。`/anima imagine` で生成できます。"
    ),
    "Of your {jobs}, these are the first {shown}.": "あなたの{jobs}件のうち、最初の{shown}件です。",
    "Drawn, and on its way to you": "生成が終わり、投稿しています",
    "Being drawn now": "生成中です",
    "Next in line": "次に生成します",
    "{jobs} before it": "前に{jobs}あります",
    "{stands}, ready about {when}": "{stands}（完成予定: {when}）",
    "Cancel": "キャンセル",
    "Look again": "更新",
    "I am being restarted; this goes on by itself in a moment": "再起動中です。まもなく自動的に続きを行います",
    "Cancelled; nothing was charged.": "キャンセルしました。クレジットは消費していません。",
    "That one is cancelled. You were not charged for it.": "キャンセルしました。クレジットは消費していません。",
    "That one had ended already.": "すでに終了しています。",
    "That one is not yours to cancel.": "ほかの人の画像はキャンセルできません。",
    # bot/commands/history.py
    "Your pictures": "あなたの画像",
    "Your pictures with {words}": "あなたの画像: {words}",
    "None of your pictures has all of these words in its prompt: {words}": (
        "次の語をすべてプロンプトに含む画像はありません: {words}"
    ),
    "There are no pictures of yours here. `/anima imagine` draws one.": (
        "あなたの画像はまだありません。`/anima imagine` で生成できます。"
    ),
    "Newer": "新しい方へ",
    "Show one…": "画像を選んで表示…",
    "message": "メッセージ",
    "shown to you alone": "自分だけに表示",
    "from an age-restricted channel": "年齢制限付きチャンネルの画像",
    "Draw again": "もう一度生成",
    "Delete…": "削除…",
    "Delete": "削除する",
    "Keep": "削除しない",
    "Go to message": "メッセージへ移動",
    "It was shown to you alone, and Discord does not show such messages twice.": (
        "自分だけに表示された画像です。Discord の仕様により、あとから表示することはできません。"
    ),
    "It was made in an age-restricted channel; look at it there.": (
        "年齢制限付きチャンネルで生成した画像です。そのチャンネルでご覧ください。"
    ),
    "Its message is gone, or in a place where I cannot look any more.": (
        "メッセージが削除されたか、ボットから見えない場所にあります。"
    ),
    "Delete this picture, here and from {channel}?": "この画像を、履歴と {channel} から削除しますか？",
    "Delete this picture and the {others} that came with it, here and from {channel}?": (
        "この画像と、一緒に投稿されたほかの{others}枚を、履歴と {channel} から削除しますか？"
    ),
    "Deleted.": "削除しました。",
    "It is out of your history, but its message is out of my reach: delete it yourself.": (
        "履歴からは削除しましたが、メッセージはボットから操作できません。お手数ですがご自身で削除してください。"
    ),
    "That picture is not in your history any more.": "その画像はもう履歴にありません。",
    "The prompt and settings of that picture are not kept any more, so it cannot be drawn again.": (
        "その画像のプロンプトと設定はもう保存されていないため、もう一度生成することはできません。"
    ),
    # bot/commands/quota.py
    "In the last 24 hours you have used **{credits}** in this server.": (
        "直近24時間に、このサーバーで **{credits}** を使いました。"
    ),
    "In the last 24 hours you have used **{credits}** outside of servers.": (
        "直近24時間に、サーバー以外の場所で **{credits}** を使いました。"
    ),
    "There is no limit for you here: draw as much as you like.": "ここでは上限がありません。好きなだけ生成できます。",
    "{credits} of {limit} left": "残り {credits}（上限 {limit}）",
    "There will be room for a default picture {when}.": "{when}に、標準設定の画像1枚分の空きができます。",
    "A default picture costs more than your whole limit; smaller ones with fewer steps may fit.": (
        "標準設定の画像1枚でも上限を超えます。サイズやステップ数を減らせば生成できることがあります。"
    ),
    "The oldest part, {credits}, stops counting {when}.": "いちばん古い分（{credits}）は、{when}に集計から外れます。",
    "At most {limit} of your jobs can wait in line at a time.": "同時に順番待ちできるのは{limit}件までです。",
    (
        "A picture with the default settings costs 1 credit. Larger ones, more steps and more pictures cost more; "
        "what fails or is cancelled costs nothing."
    ): (
        "標準設定の画像は1枚で1クレジットです。サイズ、ステップ数、枚数が増えると消費も増えます。"
        "失敗やキャンセルでは消費しません。"
    ),
    # bot/commands/privacy.py
    (
        "### What is kept about you\n"
        "Your prompts, settings and seeds; where and when you drew, and what it cost; your own defaults and presets; "
        "the pictures that you gave to be drawn from or had made larger. "
        "What was drawn is kept by Discord, in its messages."
    ): (
        "### 保存している情報\n"
        "プロンプト、設定、シード値、生成した場所と日時、消費したクレジット、"
        "個人のデフォルト設定とプリセット、元画像として渡した画像と拡大した画像を保存しています。"
        "生成された画像は、Discord のメッセージに保存されています。"
    ),
    "It is kept until you erase it.": "ご自身で消去するまで保存します。",
    "Prompts and settings are forgotten after {days}.": "プロンプトと設定は{days}で消去します。",
    "Pictures leave your history after {days}; their messages stay in Discord.": (
        "画像は{days}で履歴から消えます。Discord のメッセージは残ります。"
    ),
    "Nobody but you sees this, and nothing of it is passed on.": (
        "これを見られるのはあなただけで、第三者に渡すことはありません。"
    ),
    "Send me a copy": "データを受け取る",
    "Erase everything…": "すべて消去…",
    (
        "### Erase everything?\n"
        "Your history, defaults and presets go at once, and what still waits in line is cancelled. It cannot be "
        "undone.\n"
        "Two things stay for a while, so that erasing is no way around them: a block, until it is lifted, and how "
        "many credits you used in the last 24 hours, without what you drew.\n"
        "The messages with your pictures are Discord's. I can delete those too, as far as I can reach them, one a "
        "second or so."
    ): (
        "### すべて消去しますか？\n"
        "履歴、デフォルト設定、プリセットをすぐに消去し、順番待ちの生成はキャンセルします。元には戻せません。\n"
        "消去が抜け道にならないよう、次の2つはしばらく残ります。解除されるまでのブロックと、"
        "直近24時間に使ったクレジットの量です（何を生成したかは残りません）。\n"
        "画像のメッセージは Discord にあります。ボットから操作できるものは、"
        "1秒に1件ほどの速さで一緒に削除できます。"
    ),
    "Erase": "消去する",
    "Erase, and delete my pictures' messages": "消去し、画像のメッセージも削除する",
    "Keep everything": "何も消さない",
    "Nothing was erased.": "何も消去しませんでした。",
    "Erased: {jobs} with {pictures}, your defaults and your presets.": (
        "消去しました: 生成 {jobs}、画像 {pictures}、デフォルト設定とプリセット。"
    ),
    "Of its {messages} messages in Discord, {gone} are gone.": (
        "Discord のメッセージ{messages}件のうち、{gone}件を削除しました。"
    ),
    "Here is everything, as JSON.": "保存しているすべての情報です（JSON 形式）。",
    "And the pictures that yours were drawn from, each named by the id of its first job.": (
        "こちらは生成の元になった画像です。ファイル名は、最初に使われたジョブの ID です。"
    ),
    "There is more than fits into one of Discord's files. Please ask whoever runs this bot for it.": (
        "Discord で送れるファイルの大きさを超えています。ボットの運営者にお問い合わせください。"
    ),
    # bot/commands/context_menus.py
    "There is no picture attached to that message.": "そのメッセージには画像が添付されていません。",
    "Nothing in the file says how it was made. Many sites and chats strip that when a picture is uploaded.": (
        "ファイルに生成情報がありません。多くのサイトやチャットは、画像のアップロード時に生成情報を取り除きます。"
    ),
    "Too large to be looked into; {limit} MiB is the most.": (
        "ファイルが大きすぎて読み取れません。上限は {limit} MiB です。"
    ),
    "Discord does not hand the file out any more.": "Discord からファイルを取得できなくなっています。",
    "No picture that can be read.": "画像として読み取れません。",
    "Too much to show here; it is in the file.": "長すぎて表示できません。ファイルをご覧ください。",
    "That message is not a picture that you are waiting for.": (
        "そのメッセージは、あなたが待っている画像ではありません。"
    ),
    "picture {number}": "画像{number}",
    "Negative:": "ネガティブ:",
    "size": "サイズ",
    "steps": "ステップ数",
    "sampler": "サンプラー",
    "scheduler": "スケジューラー",
    "seed": "シード値",
    "denoise": "デノイズ強度",
    "model": "モデル",
    "variation seed": "バリエーションのシード値",
    "variation strength": "バリエーションの強度",
    "software": "ソフトウェア",
    # bot/commands/help.py
    "Begin": "はじめに",
    (
        "`/anima imagine prompt:1girl, red hair, smile, park` is all it takes: every other option has a good "
        "default.\n"
        "Write tags as on Danbooru, sentences in English, or both. Tags say exactly what; sentences, two or more of "
        "them, say how things stand to each other.\n"
        "Under the picture, **Re-roll** draws the same with another seed. Its settings and seed are in the PNG "
        "itself."
    ): (
        "`/anima imagine プロンプト:1girl, red hair, smile, park` だけで生成できます。ほかのオプションには、"
        "どれも適切な初期値があります。\n"
        "Danbooru 風のタグでも、英語の文章でも、両方を混ぜても書けます。タグは何を描くかを正確に指定し、"
        "文章（2文以上）は位置や関係を伝えるのに向いています。\n"
        "画像の下の **再生成** を押すと、別のシード値でもう一度生成します。"
        "設定とシード値は PNG 自体に記録されています。"
    ),
    "Order of tags": "タグの順序",
    (
        "Anima learnt its tags in this order, and follows them best that way:\n"
        "1. quality, year and safety: `masterpiece, newest, safe`\n"
        "2. who: `1girl`, `2boys`, `no humans`\n"
        "3. character: `oomuro sakurako`\n"
        "4. series: `yuru yuri`\n"
        "5. artist: `@nnn yryr`\n"
        "6. everything else: `smile, brown hair, white background`\n"
        "Tags are lower case, with spaces instead of underscores; `score_7` and its like keep theirs.\n"
        "What does most pictures good at the very front: `{prefix}`"
    ): (
        "Anima は次の順序でタグを学習しており、この順に書くといちばんよく従います。\n"
        "1. 品質・年代・レーティング: `masterpiece, newest, safe`\n"
        "2. 人数: `1girl`, `2boys`, `no humans`\n"
        "3. キャラクター: `oomuro sakurako`\n"
        "4. 作品: `yuru yuri`\n"
        "5. 絵師: `@nnn yryr`\n"
        "6. そのほか: `smile, brown hair, white background`\n"
        "タグは小文字で、アンダースコアの代わりにスペースを使います。`score_7` などはそのまま書きます。\n"
        "多くの画像に効くのは、先頭に置く次のタグです: `{prefix}`"
    ),
    "Artists": "絵師",
    (
        "An artist works only with `@` in front: `@nnn yryr`. Without it the name is just words.\n"
        "Two artists mix: `@one, @other`. A weight says who leads: `(@one:1.5), @other`.\n"
        "Brackets that belong to a name need a backslash each, or they count as weights: `@ask \\(askzy\\)`"
    ): (
        "絵師名は、先頭に `@` を付けたときだけ効きます: `@nnn yryr`。付けないとただの単語として扱われます。\n"
        "2人の絵師を混ぜられます: `@one, @other`。どちらを強く出すかは重みで決めます: `(@one:1.5), @other`。\n"
        "名前に含まれる括弧には、それぞれバックスラッシュが必要です。"
        "付けないと重みの指定になります: `@ask \\(askzy\\)`"
    ),
    "Weights": "重み",
    (
        "`(red hair:1.5)` makes a tag stronger, `(red hair:0.6)` weaker; `(red hair)` alone means 1.1.\n"
        "Anima needs stronger weights than SDXL: between {weaker} and {stronger} nothing shows, and `(chibi:2)` is "
        "quite usual.\n"
        "Weights touch the words, not the picture: very strong ones bend its anatomy before they add more of the "
        "thing."
    ): (
        "`(red hair:1.5)` はタグを強め、`(red hair:0.6)` は弱めます。`(red hair)` だけなら1.1倍です。\n"
        "Anima には SDXL より強い重みが必要です。{weaker} から {stronger} の間では変化が見えず、"
        "`(chibi:2)` もごく普通です。\n"
        "重みは画像ではなく言葉に働きます。強すぎると、効果が増す前に体の形が崩れます。"
    ),
    "Negative prompt": "ネガティブプロンプト",
    (
        "What you do not want, in the same words: `negative:text, watermark, hat`.\n"
        "Without one of yours, this is used: `{negative}`\n"
        "At CFG 1, as turbo models are drawn with, there is no negative pass, and it does nothing."
    ): (
        "描いてほしくないものを、同じ書き方で指定します: `ネガティブ:text, watermark, hat`。\n"
        "指定しなければ、次のものを使います: `{negative}`\n"
        "Turbo モデルのように CFG 1 で生成する場合はネガティブの計算を行わないため、効果はありません。"
    ),
    "Samplers": "サンプラー",
    (
        "`er_sde`: the default; flat colours and sharp lines\n"
        "`euler_a`: softer lines, more volume\n"
        "`dpmpp_2m_sde_gpu`: more variety, for precise prompts\n"
        "The scheduler says where the steps are spent. `simple` is the default; `beta57` keeps more for the end and "
        "looks painterly.\n"
        "30 to 50 steps at CFG 4 to 5 suit the base model; turbo models want 8 to 12 at CFG 1."
    ): (
        "`er_sde`: 標準。平坦な色とくっきりした線\n"
        "`euler_a`: 柔らかい線と、立体感のある塗り\n"
        "`dpmpp_2m_sde_gpu`: 変化に富み、細かく指定したプロンプト向き\n"
        "スケジューラーは、どこにステップを割くかを決めます。標準は `simple` です。`beta57` は終盤に多く割き、"
        "絵画のような仕上がりになります。\n"
        "ベースモデルには CFG 4〜5 で30〜50ステップ、Turbo モデルには CFG 1 で8〜12ステップが適しています。"
    ),
    "Commands": "コマンド",
    (
        "`/anima imagine`: draw\n"
        "`/anima compare`: the same with several samplers, CFG values or weights, side by side\n"
        "`/anima queue`: what waits, where you stand; cancel yours\n"
        "`/anima history`: your pictures; see, draw again, delete, find by words\n"
        "`/anima quota`: what you used, what is left\n"
        "`/anima preferences`: your own defaults and presets\n"
        "`/anima privacy`: get or erase what is kept about you\n"
        "In the menu of any message (Apps): *Anima: parameters* tells how an attached picture was made, "
        "*Anima: draw again* draws it once more, *Anima: cancel* takes back what you asked for."
    ): (
        "`/anima imagine`: 画像を生成します\n"
        "`/anima compare`: サンプラーやCFG、重みなどを変えて並べて見比べます\n"
        "`/anima queue`: 順番待ちと自分の位置を確認し、キャンセルします\n"
        "`/anima history`: 自分の画像を表示、再生成、削除、検索します\n"
        "`/anima quota`: 使ったクレジットと残りを確認します\n"
        "`/anima preferences`: 自分のデフォルトとプリセットを決めます\n"
        "`/anima privacy`: 保存された情報を受け取る、または消去します\n"
        "メッセージのメニュー（アプリ）では、*Anima: 生成情報を見る* で添付画像の生成方法を確認でき、"
        "*Anima: もう一度生成* で同じ画像をもう一度生成し、*Anima: キャンセル* で自分のリクエストを取り消せます。"
    ),
    # bot/commands/admin/context.py
    "This is for people with the permission **Manage Server**.": "**サーバー管理** の権限を持つ人だけが使えます。",
    "Servers have admins, private channels have none. Use this in your server.": (
        "プライベートチャンネルには管理者がいません。サーバーの中で使ってください。"
    ),
    "Saved.": "保存しました。",
    "But these defaults are above the limits, so whoever relies on them is refused: {defaults}.": (
        "ただし、次のデフォルト値が上限を超えているため、そのまま使う人のリクエストは拒否されます: {defaults}。"
    ),
    "Nothing was changed.": "変更はありません。",
    # bot/commands/admin/controls.py
    "This panel is from another version of the bot. Open a new one with `/anima-admin`.": (
        "このパネルは別のバージョンのボットのものです。`/anima-admin` で開き直してください。"
    ),
    # bot/commands/admin/actions.py
    "{person} may draw again.": "{person} はふたたび生成できるようになりました。",
    # bot/commands/admin/pages.py
    "Overview": "概要",
    "Everything at a glance; pause and resume": "全体の一覧。一時停止と再開",
    "Defaults": "デフォルト値",
    "Size, steps, sampler, artists, LoRAs, prefix, negative": (
        "サイズ、ステップ数、サンプラー、絵師、LoRA、プレフィックス、ネガティブ"
    ),
    "Limits": "上限",
    "Largest size, steps, pictures, waiting jobs": "最大サイズ、ステップ数、枚数、順番待ちの件数",
    "Quotas": "利用枠",
    "Credits a day, for everyone and by role": "1日のクレジット（全員・ロール別）",
    "Who and where": "対象と場所",
    "Channels and roles that may draw": "生成できるチャンネルとロール",
    "Safety": "安全",
    "What channels are kept safe": "全年齢向けに保つチャンネル",
    "What must not be asked for here": "ここで生成してはいけない言葉",
    "Blocked people": "ブロックした人",
    "Block and unblock": "ブロックと解除",
    "Log of changes": "変更履歴",
    "Who changed what, and when": "誰がいつ何を変更したか",
    "Statistics": "統計",
    "What was drawn lately": "最近の生成状況",
    "Anima in this server": "このサーバーの Anima",
    "**Drawing** is paused: new requests are refused.": "**生成** を一時停止中です。新しいリクエストは受け付けません。",
    "**Drawing** is on.": "**生成** できます。",
    "Quota": "利用枠",
    "Blocked": "ブロック",
    "1 word": "1語",
    "{count} words": "{count}語",
    "Resume drawing": "生成を再開",
    "Pause drawing": "生成を一時停止",
    "What is drawn where neither the person nor their own preferences say otherwise.": (
        "本人の指定も個人の設定もない場合に使う値です。"
    ),
    "Drawing": "生成",
    "Posting": "投稿",
    "The most that one request may ask for.": "1回のリクエストで指定できる上限です。",
    "In credits a day; a picture with the model's own settings costs 1. A person has the best of their roles.": (
        "1日あたりのクレジットです。モデル標準の設定で生成した画像は1枚で1クレジットです。"
        "複数のロールを持つ人には、いちばん多い枠が適用されます。"
    ),
    "Roles without any limit:": "無制限のロール:",
    "No role": "ロールなし",
    "Everyone": "全員",
    "A role": "ロール別",
    "Channels in which may be drawn, threads included. None chosen: all.": (
        "生成できるチャンネルです（スレッドを含みます）。未選択ならすべてのチャンネルです。"
    ),
    "Every channel": "すべてのチャンネル",
    "Roles that may draw. None chosen: everyone. Admins always may.": (
        "生成できるロールです。未選択なら全員です。管理者はいつでも生成できます。"
    ),
    "In age-restricted channels more than safe pictures may be drawn; in all others they are kept safe.": (
        "年齢制限付きチャンネルでは成人向けの画像も生成できます。それ以外では全年齢向けの画像のみになります。"
    ),
    "Sexual content about minors is refused everywhere. That cannot be switched off.": (
        "未成年に関する性的な内容は、どこでも拒否します。この制限は解除できません。"
    ),
    "**Now: safe in the whole server.**": "**現在: サーバー全体が全年齢向けです。**",
    "Follow the age restriction of channels": "チャンネルの年齢制限に従う",
    "Channels to keep safe even if they are age-restricted:": "年齢制限付きでも全年齢向けに保つチャンネル:",
    "None: each follows its age restriction": "なし（各チャンネルの年齢制限に従います）",
    "Keep the whole server safe": "サーバー全体を全年齢向けにする",
    "Whole words and phrases, whatever their case and accents. Who asks for one is told so, privately.": (
        "大文字・小文字やアクセントを区別せず、語句全体で判定します。使った人には本人だけにお知らせします。"
    ),
    "None so far.": "まだありません。",
    "Change": "変更",
    "They cannot draw in this server.": "このサーバーで生成できない人です。",
    "Nobody is blocked.": "誰もブロックしていません。",
    "Block a person": "ブロックする",
    "Unblock a person": "ブロックを解除",
    "Nothing was changed so far.": "まだ変更はありません。",
    "Newest": "最新へ",
    "24 hours": "24時間",
    "7 days": "7日間",
    "30 days": "30日間",
    # bot/commands/admin/forms.py
    "Somebody changed the settings while your form was open, so nothing was saved. Please look again.": (
        "フォームを開いている間にほかの人が設定を変更したため、何も保存していません。もう一度ご確認ください。"
    ),
    "Nothing was saved.": "何も保存していません。",
    "Defaults for drawing": "生成のデフォルト値",
    "Defaults for posting": "投稿のデフォルト値",
    "Quota of everyone": "全員の利用枠",
    "Quota of a role": "ロールの利用枠",
    "The model's own": "モデルの標準",
    "Empty: the model's own": "空欄: モデルの標準",
    "Width x height, such as 832x1216. Empty: the model's own": "幅x高さ（例: 832x1216）。空欄: モデルの標準",
    "None chosen: the model's own": "未選択: モデルの標準",
    "Names, separated by commas": "名前をカンマで区切って入力",
    "With strengths, such as style:0.8, turbo; {most} at most": "強度付きで入力（例: style:0.8, turbo）。{most}個まで",
    "How much of a given picture is drawn anew, over 0 to 1. Empty: as usual": (
        "元画像をどれだけ描き直すか（0より大きく1以下）。空欄: 通常どおり"
    ),
    "In front of every prompt": "すべてのプロンプトの先頭に付けます",
    "To every negative prompt": "すべてのネガティブプロンプトに付けます",
    "Empty: the recommended one": "空欄: 推奨のもの",
    "How many at a time, 1 to 4": "一度に生成する枚数（1〜4）",
    "Few steps, where the model has a turbo LoRA": "少ないステップ数で生成（Turbo の LoRA がある場合）",
    "Pictures are hidden until clicked": "クリックするまで画像を隠します",
    "Only who asked sees the pictures": "頼んだ本人だけに画像を表示します",
    "In pixels. Empty: what the model can": "ピクセル単位。空欄: モデルの限界まで",
    "1024 x 1024 is 1. Empty: four times the model's own size": "1024 x 1024 で1です。空欄: モデル標準サイズの4倍",
    "Empty: {default}": "空欄: {default}",
    "At a time, 1 to 4": "一度に生成できる枚数（1〜4）",
    "Of one `/anima compare`, up to {most}; 0 switches it off": (
        "1回の `/anima compare` の枚数（{most}まで）。0で無効にします"
    ),
    "Of one person in the queue": "1人が順番待ちできる件数",
    "Empty: without limit": "空欄: 無制限",
    "Whose members have it": "この枠を適用するロール",
    "Empty: the role has no quota of its own": "空欄: このロール独自の枠をなくします",
    "One a line, each up to {longest} characters": "1行に1つ、それぞれ{longest}文字まで",
    "Who shall not draw here": "ここで生成できないようにする人",
    "For the log; optional": "履歴に残す理由（省略可）",
    "That is you.": "自分自身はブロックできません。",
    "{person} cannot draw here any more.": "{person} はここで生成できなくなりました。",
    "{person} was blocked already.": "{person} はすでにブロックされています。",
    "**{field}**: {typed} is no size; write it like 832x1216.": (
        "**{field}**: {typed} はサイズとして読み取れません。832x1216 のように入力してください。"
    ),
    "**{field}**: {typed} has no strength from -{strongest} to {strongest}; write it like style:0.8.": (
        "**{field}**: {typed} の強度を -{strongest}〜{strongest} の数として読み取れません。style:0.8 "
        "のように入力してください。"
    ),
    # bot/commands/admin/text.py: names
    "Size": "サイズ",
    "Steps": "ステップ数",
    "CFG scale": "CFGスケール",
    "Sampler": "サンプラー",
    "Scheduler": "スケジューラー",
    "Add the prefix": "プレフィックスを付ける",
    "Prefix": "プレフィックス",
    "Add the negative": "ネガティブを付ける",
    "Negative": "ネガティブ",
    "LoRAs": "使うLoRA",
    "Denoise": "デノイズ強度",
    "Pictures": "枚数",
    "Turbo": "ターボ",
    "Spoiler": "スポイラー",
    "Private": "非公開",
    "Longest side": "長辺の上限",
    "Megapixels": "メガピクセル",
    "Waiting jobs": "順番待ちの件数",
    "Compared pictures": "比較の枚数",
    "Credits a day": "1日のクレジット",
    "Role": "ロール",
    "Roles": "ロール",
    "Channels": "チャンネル",
    "Safe in the whole server": "サーバー全体を全年齢向け",
    "Channels kept safe": "全年齢向けに保つチャンネル",
    "Words and phrases": "語句",
    "Person": "人",
    "Reason": "理由",
    # bot/commands/admin/text.py: what is set
    "as the model likes it": "モデルの標準どおり",
    "all else as the model likes it": "ほかはモデルの標準どおり",
    "is off": "オフ",
    "(recommended)": "（推奨）",
    "four times the model's own size": "モデル標準サイズの4倍",
    "{count} pixels a side": "長辺{count}ピクセル",
    "{count} megapixels": "{count}メガピクセル",
    "{pictures} at a time": "一度に{pictures}",
    "1 waiting job a person": "1人あたり順番待ち1件",
    "{count} waiting jobs a person": "1人あたり順番待ち{count}件",
    "{pictures} to compare": "比較は{pictures}",
    "no comparing": "比較は無効",
    "everyone without limit": "全員無制限",
    "{credits} credits a day for everyone": "全員1日{credits}クレジット",
    "1 role with its own": "独自の枠を持つロール1個",
    "{count} roles with their own": "独自の枠を持つロール{count}個",
    "everyone": "全員",
    "every channel": "すべてのチャンネル",
    "{who} in {channels}": "{channels}で{who}",
    "safe in the whole server": "サーバー全体が全年齢向け",
    "by the age restriction of each channel": "各チャンネルの年齢制限に従う",
    "always safe in {channels}": "{channels} は常に全年齢向け",
    # bot/commands/admin/text.py: statistics
    "{count} waiting": "順番待ち{count}件",
    "{count} being drawn": "生成中{count}件",
    "{count} on their way": "投稿中{count}件",
    "{count} delivered": "投稿済み{count}件",
    "{count} cancelled": "キャンセル{count}件",
    "{count} failed": "失敗{count}件",
    "{count} refused": "拒否{count}件",
    "usually {wait} s in line and {drawing} s to draw": "通常は待ち{wait}秒、生成{drawing}秒",
    # bot/commands/admin/text.py: the log
    "Somebody": "誰か",
    "somebody": "誰か",
    "{who} blocked {whom}: {reason}": "{who} が {whom} をブロックしました: {reason}",
    "{who} blocked {whom}": "{who} が {whom} をブロックしました",
    "{who} unblocked {whom}": "{who} が {whom} のブロックを解除しました",
    "{who} paused drawing": "{who} が生成を一時停止しました",
    "{who} resumed drawing": "{who} が生成を再開しました",
    "{who} changed **{what}**: {difference}": "{who} が **{what}** を変更しました: {difference}",
    "default": "デフォルト",
    "on": "オン",
    "off": "オフ",
    "none": "なし",
    # bot/commands/admin/text.py: mistakes
    "**{field}** must be a whole number.": "**{field}** は整数で入力してください。",
    "**{field}** must be a number.": "**{field}** は数値で入力してください。",
    "**{field}** must be a multiple of {multiple_of}.": "**{field}** は {multiple_of} の倍数にしてください。",
    "**{field}** must be more than {gt}.": "**{field}** は {gt} より大きくしてください。",
    "**{field}** must be {ge} or more.": "**{field}** は {ge} 以上にしてください。",
    "**{field}** must be {le} or less.": "**{field}** は {le} 以下にしてください。",
    "**{field}**: a name is missing.": "**{field}**: 名前がありません。",
    "**{field}**: {max_length} characters are the most.": "**{field}**: {max_length}文字までです。",
    "**{field}**: {max_length} are the most.": "**{field}**: {max_length}個までです。",
    "**{field}** cannot be that.": "**{field}** にその値は使えません。",
    # bot/commands/preferences/panel.py, bot/commands/preferences/defaults.py, bot/components/preset_modal.py
    "Your defaults": "自分のデフォルト",
    (
        "What `/anima imagine` draws with, everywhere, where you do not say otherwise with the command. What is not "
        "yours is as the server has it, or else as the model likes it."
    ): (
        "`/anima imagine` で指定しなかったときに、どこでも使われる値です。自分で決めていないものはサーバーの設定、"
        "それもなければモデルの推奨値になります。"
    ),
    "Raw prompt": "プロンプトに追加しない",
    "**yours**, else {value}": "**自分の設定**、なければ {value}",
    "the server's": "サーバーの設定",
    "the bot's": "ボットの設定",
    "the model's": "モデルの推奨値",
    "as usual": "通常",
    "turbo's": "Turbo の値",
    "with turbo; {own}, yours, holds without": "Turbo の値。オフのときは自分の {own}",
    "⚠️ above the limit here, so it is refused": "⚠️ ここの上限を超えているため、拒否されます",
    "not with this model": "このモデルでは使えません",
    "not here now": "いまはありません",
    "Numbers…": "数値…",
    "Numbers": "数値",
    "Words…": "言葉…",
    "Words": "言葉",
    "LoRAs…": "LoRA…",
    "Presets: {count}": "プリセット: {count}件",
    "{what}: as the server has it, {value}": "{what}: サーバーの設定どおり、{value}",
    "Take back, as the server has it…": "サーバーの設定に戻す…",
    "Taken back.": "元に戻しました。",
    "{example}. Empty: as the server has it": "{example}。空欄ならサーバーの設定どおり",
    "832x1216, or a ratio such as 2:3": "832x1216、または 2:3 のような比率",
    "{least} to {most}": "{least}から{most}",
    "How much of a given picture to draw anew, {least} to 1": "元画像をどれだけ描き直すか、{least}から1",
    "What not to draw": "描いてほしくないもの",
    "With commas between": "カンマ区切り",
    "One a line, with its strength, such as name: 0.8. At most {most}": (
        "1行に1つ、名前: 0.8 のように強度を付けて、{most}個まで"
    ),
    "There are these: {names}": "使えるもの: {names}",
    "There are no LoRAs here yet.": "ここにはまだ LoRA がありません。",
    "**{what}**: that is no whole number.": "**{what}**: 整数で入力してください。",
    "**{what}**: that is no number.": "**{what}**: 数値で入力してください。",
    "**{what}**: {limit} is the least.": "**{what}**: {limit} 以上にしてください。",
    "**{what}**: {limit} is the most.": "**{what}**: {limit} 以下にしてください。",
    "**{what}**: {limit} characters is the most.": "**{what}**: {limit} 文字までです。",
    "**{what}**: that cannot be chosen.": "**{what}**: その値は選べません。",
    "Your presets": "自分のプリセット",
    "{count} of {most}": "{most}件中{count}件",
    "`/anima imagine preset:` draws with one. **Info** under a picture of yours saves its settings as a preset.": (
        "`/anima imagine プリセット:` で使えます。自分の画像の **情報** から、その設定をプリセットとして保存できます。"
    ),
    "Look at one…": "プリセットを見る…",
    "Take into my defaults": "自分のデフォルトに取り込む",
    "“{name}” is in your defaults now. What it does not say is as it was.": (
        "「{name}」を自分のデフォルトに取り込みました。含まれていない項目はそのままです。"
    ),
    "“{name}” is deleted.": "「{name}」を削除しました。",
    "That preset is not there any more.": "そのプリセットはもうありません。",
    "Back": "戻る",
    "Save my defaults as a preset…": "自分のデフォルトをプリセットとして保存…",
    "Save my defaults as a preset": "デフォルトをプリセットとして保存",
    "You have no defaults of your own yet, so there is nothing to save.": (
        "自分のデフォルトがまだないため、保存するものがありません。"
    ),
    "Save as preset…": "プリセットとして保存…",
    "Save as preset": "プリセットとして保存",
    "Name": "名前",
    "A preset of the same name is replaced": "同じ名前のプリセットは置き換えられます",
    "Saved as “{name}”. `/anima imagine preset:` draws with it.": (
        "「{name}」として保存しました。`/anima imagine プリセット:` で使えます。"
    ),
    "Your preset “{name}” is now this one. `/anima imagine preset:` draws with it.": (
        "プリセット「{name}」をこの内容に置き換えました。`/anima imagine プリセット:` で使えます。"
    ),
    "A preset's name has 1 to {longest} characters, so nothing was saved.": (
        "プリセットの名前は1文字以上、{longest}文字までです。何も保存していません。"
    ),
    "You have {most} presets, which is the most, so nothing was saved. Delete one first: `/anima preferences`.": (
        "プリセットは{most}件までのため、何も保存していません。先に `/anima preferences` でどれかを削除してください。"
    ),
    "The picture's settings are not remembered any more, so nothing was saved.": (
        "その画像の設定は保存期間が過ぎているため、何も保存していません。"
    ),
    "Only the person who asked for this can save its settings.": "この設定を保存できるのは、生成した本人だけです。",
    # bot/commands/draw_again.py, bot/generation/from_metadata.py
    "That one is still on its way. Draw it again when it is there.": (
        "まだ生成中です。できあがってから、もう一度お試しください。"
    ),
    "The LoRA “{name}” is not here any more, so this cannot be drawn as it was.": (
        "LoRA「{name}」がもうないため、同じようには生成できません。"
    ),
    "That file is no picture that I can read.": "そのファイルは画像として読み取れません。",
    (
        "Nothing in the file says how it was made, so I cannot draw it again. Many sites and chats strip that when a "
        "picture is uploaded."
    ): (
        "ファイルに生成情報がないため、もう一度生成できません。多くのサイトやチャットでは、"
        "アップロード時に生成情報が取り除かれます。"
    ),
    "The file does not say what was asked for, so there is nothing to draw.": (
        "ファイルにプロンプトがないため、生成できません。"
    ),
    "The prompt in the file is too long: {limit} characters is the most.": (
        "ファイルのプロンプトが長すぎます。{limit}文字までです。"
    ),
    "Drawn without these LoRAs, which are not here: {names}": "次の LoRA はここにないため、使わずに生成します: {names}",
    "Not known here, so your own or the server's are taken: {settings}": (
        "次の値はここでは使えないため、自分またはサーバーの設定で生成します: {settings}"
    ),
    "It was made from another picture, which the file does not hold, so it will look different.": (
        "別の画像をもとに作られていますが、その画像はファイルに含まれていないため、同じ見た目にはなりません。"
    ),
    # bot/generation/comparison.py
    "There is no {axis} called “{name}”. There are: {names}.": (
        "「{name}」という{axis}はありません。使えるもの: {names}。"
    ),
    "“{value}” is no value for {axis}: give numbers with commas between, such as {example}.": (
        "「{value}」は{axis}の値になりません。{example} のように、数をカンマで区切って入力してください。"
    ),
    "“{value}” is no value for {axis}: give whole numbers with commas between, such as {example}.": (
        "「{value}」は{axis}の値になりません。{example} のように、整数をカンマで区切って入力してください。"
    ),
    "{value} cannot be a value for {axis}: give numbers from {least} to {most}.": (
        "{value} は{axis}の値になりません。{least} から {most} までの数を入力してください。"
    ),
    "One value of {axis} is nothing to compare: give two or more, with commas between.": (
        "{axis}の値が1つでは比較になりません。カンマで区切って2つ以上入力してください。"
    ),
    "That would be {count} pictures, and {most} is the most of one comparison. Leave some values out.": (
        "これでは{count}枚になりますが、1回に比較できるのは{most}枚までです。値を減らしてください。"
    ),
    "Columns and rows both vary {axis}. Choose something else for one of them, or leave `rows` away.": (
        "列と行の両方が{axis}です。どちらかを別のものにするか、`行` を外してください。"
    ),
    "`row_values` are given, but not what they are values of: choose `rows` as well.": (
        "`行の値` がありますが、何の値なのかがわかりません。`行` も選んでください。"
    ),
    "Whose weight is to be varied? Give words of the prompt as `words`.": (
        "重みを変える言葉がありません。プロンプトの中の言葉を `言葉` に入力してください。"
    ),
    "`words` are those whose weight is varied: choose weight for `columns` or `rows` as well.": (
        "`言葉` は重みを変える対象です。`列` か `行` で重みも選んでください。"
    ),
    "The strength of which LoRA is to be varied? Choose one as `lora`.": (
        "強度を変えるLoRAがありません。`lora` で選んでください。"
    ),
    "“{words}” is not in the prompt, so its weight cannot be varied. "
    "Give `words` as they stand there, outside of wildcards.": (
        "「{words}」はプロンプトにないため、重みを変えられません。"
        "ワイルドカードの外にある言葉を、そのとおりに `言葉` に入力してください。"
    ),
    "“{words}” cannot be weighted, because the brackets around it do not match. "
    "Close each bracket of the prompt, or write \\( where one is meant as such.": (
        "「{words}」の周りのかっこが対になっていないため、重みを付けられません。"
        "プロンプトのかっこをすべて閉じるか、文字としてのかっこは \\( と書いてください。"
    ),
    "{columns} compared": "{columns}の比較",
    "{columns} and {rows} compared": "{columns}と{rows}の比較",
    "weight of “{words}”": "「{words}」の重み",
    "strength of {lora}": "{lora} の強度",
    "weight {weight}": "重み {weight}",
    "LoRA {strength}": "LoRA {strength}",
    "without LoRA": "LoRAなし",
    "weight": "重み",
    "LoRA strength": "LoRA強度",
    # bot/jobs/submission.py, bot/rules/policy.py, bot/components/images.py and bot/messages/job.py, of comparisons
    "In a comparison it is too small for that. Draw it by itself first, and upscale what comes of it.": (
        "比較の中の画像はそのままでは拡大できません。まず1枚だけ生成し、できた画像を拡大してください。"
    ),
    "Comparing is switched off here. Try single pictures with `/anima imagine`.": (
        "ここでは比較を使えません。`/anima imagine` で1枚ずつお試しください。"
    ),
    "Draw this one": "この1枚を生成",
    "drawn alone": "1枚だけ生成",
}

COMMANDS: Mapping[str, str] = {
    # Commands, which keep their names: every text names them so
    "anima": "anima",
    "imagine": "imagine",
    "queue": "queue",
    "history": "history",
    "quota": "quota",
    "privacy": "privacy",
    "help": "help",
    "anima-admin": "anima-admin",
    "Draw with Anima": "Anima で画像を生成します",
    "Draw a picture": "画像を生成します",
    "What waits to be drawn, where you stand, and a way to cancel yours": (
        "順番待ちと自分の位置を確認し、キャンセルもできます"
    ),
    "Your pictures: see them, draw them again, delete them": "自分の画像を表示、再生成、削除します",
    "What you have used of your credits, and what is left": "使ったクレジットと残りを確認します",
    "Get or erase everything that is kept about you": "保存された自分の情報を受け取る、または消去します",
    "How to ask for what you want: tags, artists, weights, samplers": "書き方の説明: タグ、絵師、重み、サンプラー",
    "What this server allows: limits, quotas, channels, safety": "サーバーの設定: 上限、利用枠、チャンネル、安全",
    # Menus of a message
    "Anima: parameters": "Anima: 生成情報を見る",
    "Anima: cancel": "Anima: キャンセル",
    # Options
    "What not to draw": "描かないもの",
    "Shape and size: one that is offered, a ratio such as 2:3, or a size such as 832x1216": (
        "形とサイズ: 候補から選ぶか、2:3 のような比率、832x1216 のようなサイズ"
    ),
    "Exact width in pixels": "幅（ピクセル）",
    "Exact height in pixels": "高さ（ピクセル）",
    "How many pictures": "生成する枚数",
    "More steps draw finer and take longer": "多いほど細かく描き、時間がかかります",
    "How closely to follow the prompt": "プロンプトにどれだけ従うか",
    "How noise becomes a picture; each has its own look": "画風が変わるサンプラー",
    "Where the steps are spent": "ステップの配分",
    "The same seed and settings give the same picture": "同じシード値と設定なら同じ画像になります",
    "A LoRA: a style or a character that the model was taught besides": "追加で学習した画風やキャラクター（LoRA）",
    "How strongly the LoRA works; 1 is usual": "LoRA の強さ（通常は 1）",
    "One or more artists, with commas between; @ is added": "絵師名（カンマ区切りで複数可、@ は自動で付きます）",
    "Few steps, quickly drawn": "少ないステップで素早く生成します",
    "A picture to draw from": "元にする画像",
    "How much of that picture to draw anew: 0.3 a little, 0.8 nearly all": (
        "元画像をどれだけ描き直すか: 0.3 は少し、0.8 はほぼ全部"
    ),
    "Hide the picture until it is clicked": "クリックするまで画像を隠します",
    "Show it to nobody but you": "自分にだけ表示します",
    "One of your presets": "自分のプリセット",
    "Add nothing to the prompt: neither the recommended quality tags nor the negative": (
        "推奨の品質タグやネガティブを何も追加しません"
    ),
    "prompt": "プロンプト",
    "What to draw: tags, sentences, or both": "描く内容（タグ、英語の文章、または両方）",
    "negative": "ネガティブ",
    "aspect": "縦横比",
    "width": "幅",
    "height": "高さ",
    "count": "枚数",
    "steps": "ステップ数",
    "cfg": "cfgスケール",
    "sampler": "サンプラー",
    "scheduler": "スケジューラー",
    "seed": "シード値",
    "lora": "lora",
    "lora_strength": "lora強度",
    "artist": "絵師",
    "turbo": "ターボ",
    "image": "元画像",
    "denoise": "デノイズ強度",
    "spoiler": "スポイラー",
    "private": "非公開",
    "preset": "プリセット",
    "raw": "そのまま",
    "words": "言葉",
    "Only pictures whose prompt has all of these words": "プロンプトにこれらの語をすべて含む画像だけを表示します",
    # bot/commands/preferences/panel.py, bot/commands/draw_again.py
    "preferences": "preferences",
    "Your own defaults, and presets by name": "自分のデフォルトと、名前を付けたプリセットを管理します",
    "Anima: draw again": "Anima: もう一度生成",
    # /anima compare
    "compare": "compare",
    "See what samplers, schedulers, CFG, steps, weights or a LoRA do: one picture in many ways": (
        "サンプラー、スケジューラー、CFG、ステップ数、重み、LoRAの効果を1枚の表で見比べます"
    ),
    "columns": "列",
    "What changes from left to right": "左から右へ変えていくもの",
    "column_values": "列の値",
    "rows": "行",
    "What changes from top to bottom, if anything": "上から下へ変えていくもの。なくてもかまいません",
    "row_values": "行の値",
    "Its values, with commas between; a few good ones if you leave this away": (
        "その値をカンマで区切って入力します。省略するとおすすめの値を使います"
    ),
    "Words of the prompt whose weight is varied": "重みを変える、プロンプトの中の言葉",
    "A LoRA to draw with, or whose strength is varied; 0 draws without it": (
        "使うLoRA、または強度を変えるLoRA。0はLoRAなしです"
    ),
    "weight": "重み",
    "lora strength": "LoRA強度",
}
