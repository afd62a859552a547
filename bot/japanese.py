"""The bot in Japanese: every sentence that `language.say` is given, and every name and description of a command."""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    # bot/commands/preferences.py, bot/own_defaults.py, bot/presets.py
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
    # bot/commands/draw_again.py, bot/replaying.py
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
}

COMMANDS: Mapping[str, str] = {
    # bot/commands/preferences.py, bot/commands/draw_again.py
    "preferences": "preferences",
    "Your own defaults, and presets by name": "自分のデフォルトと、名前を付けたプリセットを管理します",
    "Anima: draw again": "Anima: もう一度生成",
}
