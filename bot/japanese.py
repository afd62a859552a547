"""The bot in Japanese: every sentence that `language.say` is given, and every name and description of a command."""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    # bot/comparing.py
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
    # bot/intake.py, bot/policy.py, bot/components.py and bot/messages.py, of comparisons
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
