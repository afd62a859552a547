"""The terms that the safety rules look for, by meaning. They are searched in normalized text, see `normalize.fold`.

In the lists of Latin words, commas and line ends separate the terms; plurals in -s are found too. A term of several
words is also found without blanks. Ratings are Danbooru's: explicit and questionable pictures need an age-restricted
channel, sensitive ones do not.
"""

from __future__ import annotations

import re
from enum import Enum, auto


class Kind(Enum):
    #: Sexualised minors, refused without any other term.
    ALWAYS = auto()
    #: Somebody under 18; allowed alone.
    MINOR = auto()
    #: Clothes and places of pupils, but also of some adults.
    SCHOOL = auto()
    #: Rated questionable or explicit by Danbooru.
    EXPLICIT = auto()
    #: Allowed for adults.
    SUGGESTIVE = auto()
    ADULT = auto()
    #: Phrases in which a word from another list means something else.
    HARMLESS = auto()


_LATIN = {
    Kind.ALWAYS: """
        loli, lolis, lolicon, lolikon, rorikon, lolidom, lolibaba, shota, shotacon, shotakon, straight shota
        oneeshota, oneshota, oneeloli, oppai loli, toddlercon, babycon, cunny, jailbait, pedo, pedophile, pedophilia
        paedophile, paedophilia, pedobear, child porn, child pornography, kiddie porn, kiddy porn, csam, underage sex
        child sex, ageplay, hebephilia, ephebophilia, kodomo no ero
    """,
    Kind.MINOR: """
        child, children, childs, childlike, child like, childish body, kid, kiddo, kiddie, toddler, infant, newborn
        baby, babies, babyfaced, preteen, preteenager, tween, teen, teenage, teenaged, teenager, teeny, underage
        underaged, under aged, minors, a minor, minor girl, minor boy, is a minor, legal minor, juvenile
        prepubescent, prepubertal, pubescent, pre pubescent, prepuberty, little girl, little boy, small girl
        small boy, tiny girl, tiny boy, young girl, young boy, younger girl, younger boy, young teen, very young
        young kid, schoolgirl, schoolboy, schoolchild, schoolchildren, schoolkid, school girl, school boy
        school child, school children, school kid, school age, elementary school, elementary schooler
        elementary student, grade school, grade schooler, grader, primary school, primary schooler, middle school
        middle schooler, junior high, junior high school, junior high schooler, high school, high schooler
        high school student, highschool girl, highschooler, kindergarten, kindergartener, kindergartner
        kindergarten uniform, preschool, preschooler, nursery school, randoseru, junior idol, jailbait girl, aged down
        age regression, mesugaki, youjo, yojo, shougakusei, chuugakusei, joshi kousei, lolita, kodomo, female child
        male child, boy scout, girl scout, cub scout, adolescent, adolescence
    """,
    Kind.SCHOOL: """
        school uniform, serafuku, sailor uniform, school swimsuit, sukumizu, schoolbag, school bag, classroom
        gym uniform, gakuran, student, pupil of, school desk, school hallway, school rooftop, school, jk
    """,
    Kind.EXPLICIT: """
        nsfw, explicit, rating explicit, rating questionable, r18, r 18, r18g, 18 plus, xrated, x rated
        porn, porno, pornography, pornographic, hentai, ero, eroge, erotic, erotica, ecchi, lewd, lewds, smut, rule34
        nude, nudes, nudity, naked, nakedness, completely nude, bottomless, topless, undressed, unclothed
        no clothes, without clothes, without clothing, no panties, no underwear, no pants no panties, nipple, areola
        areolae, bare breast, exposed breast, breasts out, breast out, boobs out, tits out, one breast out, naked breast
        pussy, pussies, vagina, vaginal, vulva, labia, clitoris, clit, penis, penises, cock, phallus, testicle, scrotum
        anus, anal, asshole, butthole, genital, genitals, genitalia, pubic hair, female pubic hair, male pubic hair
        crotchless, nipple slip, areola slip, erection, erect penis, boner, sex, sexual, sexual intercourse, sexually
        having sex, intercourse, copulation, coitus, vaginal penetration, fuck, fucked, fucking, fucks, creampie
        cum, cumming, cumshot, cumdump, semen, sperm, ejaculation, ejaculating, orgasm, ahegao, masturbation
        masturbate, masturbating, fingering, fellatio, blowjob, deepthroat, irrumatio, handjob, footjob, paizuri
        titjob, titfuck, thighjob, cunnilingus, rimjob, anilingus, oral sex, 69 position, doggystyle, doggy style
        missionary position, cowgirl position, girl on top sex, mating press, gangbang, threesome, foursome, orgy
        bukkake, group sex, double penetration, fisting, rape, raped, raping, rapist, molest, molested, molestation
        molesting, groping, groped, sexual assault, bestiality, zoophilia, incest, impregnation, futanari
        futa, dildo, vibrator, sex toy, buttplug, butt plug, anal beads, onahole, sex slave, bdsm, bondage, shibari
        tentacle sex, squirting, female ejaculation, pussy juice, vaginal juice, spread pussy, spread anus, spread ass
        breast sucking, breast grab, grabbing breasts, breast fondling, after sex, afterglow sex, implied sex
        public nudity, exhibitionism, exhibitionist, flashing breasts, fleshlight, facesitting, tribadism, scissoring
        netorare, cuckold, prostitution, prostitute, horny, aroused, sexual arousal, nudist, naked apron, naked shirt
        naked towel, stripping naked, striptease, penile, glans, foreskin, urethra, uncensored, mosaic censoring
        bar censor, pegging, sodomy, strapon, x ray sex, stomach bulge, cumflation
        lactation, wet pussy, cervix, womb tattoo, oral creampie, cum in mouth, deep penetration, sexfight, xxx
    """,
    Kind.SUGGESTIVE: """
        panties, panty, pantyshot, upskirt, underwear, underwear only, lingerie, thong, gstring, g string, bra
        bra visible, cameltoe, cleavage, downblouse, sideboob, underboob, ass, ass focus, ass visible, butt
        buttocks, crotch, crotch focus, breast focus, breasts, boobs, boobies, tits, large breasts, huge breasts
        sexy, seductive, seducing, sensual, suggestive, provocative, sultry, slutty, slut, whore, bitch in heat, in heat
        fetish, foot fetish, voyeur, voyeurism, undressing, stripping, clothes lift, skirt lift, lifted by self
        shirt lift, spread legs, spreading legs, legs spread, penetration, micro bikini
        sling bikini, string bikini, revealing clothes, see through, wet shirt, covered nipples, erect nipples
        convenient censoring, wardrobe malfunction, aphrodisiac, moaning, dick, torogao
        bedroom eyes, love hotel, french kiss, tongue kiss, playboy bunny, pole dancing
        virgin killer sweater, bikini aside, panties aside, swimsuit aside, clothing aside, sexualized, sexualised
    """,
    Kind.ADULT: """
        adult, adults, adult woman, adult man, grown up, grownup, grown woman, grown man, college, university, teacher
        office lady, mature female, mature male, mature woman, milf, old woman, old man, middle aged, of age
    """,
    Kind.HARMLESS: """
        lolita fashion, gothic lolita, sweet lolita, classic lolita, wa lolita, lolita hairband, lolita dress
        shota aizawa, aizawa shota, naked eye, same sex, opposite sex, sex pistols, cum laude, sperm whale
        pussy willow, pussy cat, pussycat, bottomless pit, bottomless bag, moby dick, dick grayson, kid icarus
        destiny child, kaitou kid, eclair kid, teen titans, baby blue, baby pink, baby doll, babydoll, babys breath
        baby powder, kid gloves, inner child, youjo senki, yojo senki, a minor key, a minor chord, a minor detail
        art school, old school, explicit lyrics, nude lipstick, nude color, nude makeup
    """,
}


def latin_terms() -> list[tuple[tuple[str, ...], Kind]]:
    """Each term as its words, with its kind."""
    return [
        (tuple(term.split()), kind)
        for kind, terms in _LATIN.items()
        for term in re.split(r"[,\n]", terms)
        if term.strip()
    ]


#: Terms that no harmless word contains: they are found in `cuteloli` too.
WITHIN_A_WORD = re.compile(r"(?<!goth)(?<!gothic)loli(?!ta|go|um)|shotacon|toddlercon")

_SHORT_WORDS = """
    a i ad ah al am an as at be by da de do ed el en ex go ha he hi id if in is it la le lo me mr ms my no of oh ok on
    or ow ox so st to up us we ya
"""
#: Words of their own; other short words may be pieces of a word with blanks inside.
SHORT_WORDS = frozenset(_SHORT_WORDS.split())

_KATAKANA = "[ァ-ヺー]"

#: Searched anywhere, because Japanese has no blanks between words. Includes a few Chinese and Korean terms.
JAPANESE = {
    Kind.ALWAYS: re.compile(
        rf"(?<!{_KATAKANA})[ロ口]リ(?:コン|キャラ|巨乳|ババア)|ペドフィリア|小児性愛|児童ポルノ|トドラーコン"
        rf"|(?<!{_KATAKANA})(?:[ロ口]リ|ショタ(?:コン)?|おねショタ|ペド)(?!{_KATAKANA})"
        r"|ロリエロ|エロロリ|ろりこん|しょたこん|(?<![ぁ-ゖー])(?:ろり|しょた)(?![ぁ-ゖー])"
        r"|萝莉|蘿莉|(?<![가-힣])(?:로리|로리콘|쇼타|쇼타콘)(?![가-힣])"
    ),
    Kind.MINOR: re.compile(
        r"小学|中学(?!校?教)|高校生|女子高|男子高|女児|男児|幼女|幼児|乳児|児童|園児|幼稚園|保育園|赤ちゃん|赤ん坊"
        r"|子供|子ども|こども|コドモ|未成年|少年少女|思春期|第二次性徴|ランドセル|メスガキ|小さい女の子|小さな女の子|幼い"
        r"|ティーンエイジャー|女子児童|十八歳未満|18歳未満|小女孩|小男孩|儿童|兒童|孩子|初中|미성년|초등학생|중학생|어린이"
    ),
    Kind.SCHOOL: re.compile(r"制服|セーラー服|スクール水着|スク水|体操服|ブルマ|教室|学生|生徒|学校|学園|校服"),
    Kind.EXPLICIT: re.compile(
        r"裸(?![足眼電])|ヌード|セックス|性交|性行為|性的|性器|陰部|陰毛|乳首|乳輪|おっぱい|まんこ|マンコ|ちんこ|チンコ|ちんぽ|チンポ"
        rf"|ペニス|クリトリス|フェラ(?!ー)|パイズリ|クンニ|手コキ|足コキ|中出し|顔射|射精|精液|ザーメン|自慰|オナニー|オナホ|絶頂"
        r"|アヘ顔|強姦|レイプ|痴漢|輪姦|陵辱|凌辱|近親相姦|緊縛|成人向け|無修正|18禁|エッチ(?!ング)|えっち"
        rf"|(?<!{_KATAKANA})エ[ロ口](?![ァ-ヺ])|エロ(?:イ|画像|絵|漫画|アニメ)|官能|孕ませ|ふたなり|乱交|騎乗位|正常位|後背位"
        r"|色情|做爱|做愛|性爱|性愛|阴茎|陰茎|阴道|膣|누드|섹스|알몸|나체|야한"
    ),
    Kind.SUGGESTIVE: re.compile(
        r"パンチラ|パンティ|下着|ランジェリー|セクシー|誘惑|谷間|露出|股間|お尻|尻|巨乳|貧乳|爆乳|脱衣|脱ぎ|開脚|性感|内衣|内褲"
    ),
    Kind.ADULT: re.compile(r"成人|大人|社会人|大学生|女子大|教師|先生|人妻|熟女"),
}

_NUMBER_WORDS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_AGE = rf"(\d ?\d?|{'|'.join(_NUMBER_WORDS)})"
_YEARS = r"(?:years? ?olds?|yrs? ?olds?|years? young|yrs?|y ?o|yo|jahre|ans|anos|歳|才|岁|살)"

#: An age in years, in one of the groups. Searched in words separated by single blanks; commas are words.
AGES = re.compile(
    rf"(?<![\d.])\b{_AGE} ?{_YEARS}(?![a-z])"
    rf"|\b(?:aged?|ages)(?: is| of| about| around| only)? {_AGE}\b(?! ?\d)"
    rf"|\b(?:she|he|girl|boy|who) (?:is|was|s) (?:only |just |about )?{_AGE}\b(?! ?[a-z\d])"
)

SMALL_AGES = re.compile(
    r"\b(?:months?|weeks?|days?) olds?\b|\b(?:\d{1,2} ?(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh"
    r"|eighth|ninth|tenth|eleventh|twelfth) grade(?:rs?)?\b"
    r"|\b(?:under|below|younger than|less than) (?:the age of )?(?:1[0-8]|[1-9])(?: years?)?\b(?! [a-z])"
    r"|\b(?:young|younger|little|small|tiny|prepubescent|underdeveloped)(?: (?!woman|man|adult|lady|and|,)\w+){1,2}"
    r" (?:girl|boy|daughter|son)s?\b"
)
KANJI_AGES = re.compile(r"(?<![一二三四五六七八九十百千])(十?[一二三四五六七八九]|十)[歳才]")
AGE_OF_MAJORITY = 18


def years(age: str) -> int:
    """The number in a group of AGES."""
    return _NUMBER_WORDS.index(age) + 1 if age in _NUMBER_WORDS else int(age.replace(" ", ""))
