"""The vocabulary of `sample:reviews`. A frame's sign says whether it keeps (+1) or turns (-1) its words.

Slots: {p} product, {a} {b} two aspects, {adj} {bdj} their adjectives, {opp} an adjective of the other
polarity for {b}, {more} a comparative, {verb} an act and {like} a feeling of a happy or an unhappy buyer.
"""

from typing import NamedTuple

Polarity = int
"""+1 praises, -1 blames."""


class Frame(NamedTuple):
    """A sentence that carries the verdict: sign times the polarity of its words is the label."""

    sign: Polarity
    text: str


class Words(NamedTuple):
    """All that one language needs."""

    aspects: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    """Aspect: adjectives that praise it, adjectives that blame it."""
    products: dict[str, tuple[str, ...]]
    """Product: its aspects (at least two)."""
    verbs: tuple[tuple[str, ...], tuple[str, ...]]
    likes: tuple[tuple[str, ...], tuple[str, ...]]
    frames: dict[str, tuple[Frame, ...]]
    """Phenomenon: its frames."""
    around: tuple[str, ...]
    """Sentences without a verdict, before or after it."""
    fillers: dict[str, tuple[str, ...]]
    """Slots without a verdict: {who}, {when}, {time}, {place}, {very}."""
    joiner: str
    """Between two sentences."""


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _lines(table: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in table.strip().splitlines())


def _aspects(table: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    rows = (line.split("|") for line in table.strip().splitlines())
    return {name.strip(): (_split(praise), _split(blame)) for name, praise, blame in rows}


def _products(table: str) -> dict[str, tuple[str, ...]]:
    rows = (line.split("|") for line in table.strip().splitlines())
    return {name.strip(): _split(aspects) for name, aspects in rows}


def _frames(table: str) -> tuple[Frame, ...]:
    lines = (line.strip() for line in table.strip().splitlines())
    return tuple(Frame(1 if line[0] == "+" else -1, line[2:]) for line in lines)


ENGLISH = Words(
    aspects=_aspects("""
        app | fast, clear, reliable, pleasant | buggy, slow, confusing, annoying
        battery | strong, reliable, impressive, dependable | weak, unreliable, feeble, disappointing
        blade | sharp, sturdy, smooth, impressive | blunt, flimsy, rough, disappointing
        connection | stable, fast, reliable, strong | unstable, slow, unreliable, weak
        cushion | soft, comfortable, pleasant, supportive | lumpy, uncomfortable, saggy, disappointing
        fabric | soft, sturdy, pleasant, durable | scratchy, flimsy, rough, thin
        finish | smooth, elegant, beautiful, neat | rough, ugly, sloppy, shabby
        frame | sturdy, solid, stable, strong | wobbly, flimsy, unstable, shaky
        grip | firm, comfortable, secure, pleasant | slippery, weak, uncomfortable, awkward
        handle | sturdy, comfortable, solid, smooth | wobbly, uncomfortable, flimsy, slippery
        layout | clear, practical, comfortable, neat | confusing, clumsy, cramped, awkward
        lens | sharp, clear, bright, impressive | blurry, dim, disappointing, shoddy
        lid | tight, sturdy, solid, neat | loose, wobbly, flimsy, awkward
        light | bright, warm, pleasant, impressive | dim, harsh, annoying, feeble
        manual | clear, helpful, neat, practical | confusing, vague, clumsy, sloppy
        menu | clear, intuitive, fast, practical | confusing, slow, clumsy, annoying
        motor | quiet, strong, smooth, reliable | noisy, weak, rough, unreliable
        screen | sharp, bright, crisp, clear | dim, blurry, grainy, dull
        seam | tight, neat, sturdy, strong | loose, sloppy, flimsy, weak
        smell | fresh, pleasant, lovely, delicate | stale, unpleasant, nasty, awful
        sound | clear, warm, rich, pleasant | tinny, muffled, harsh, annoying
        strap | comfortable, sturdy, soft, secure | scratchy, flimsy, uncomfortable, stiff
        taste | rich, fresh, balanced, lovely | bitter, stale, bland, nasty
        zip | smooth, sturdy, reliable, solid | stiff, flimsy, unreliable, rough
    """),
    products=_products("""
        alarm clock | screen, sound, light, manual
        backpack | strap, zip, fabric, seam
        bike lamp | light, battery, grip, finish
        black tea | taste, smell
        blender | motor, lid, blade, handle
        bread knife | blade, handle, grip, finish
        camera | lens, screen, menu, grip
        coffee maker | taste, lid, menu, finish
        coffee | taste, smell
        dark chocolate | taste, smell
        desk lamp | light, frame, finish
        drill | motor, battery, grip, handle
        e-reader | screen, battery, menu, light
        fitness watch | app, battery, strap, screen
        hair dryer | motor, handle, finish, grip
        kettle | lid, handle, finish, light
        keyboard | layout, connection, finish, light
        monitor | screen, frame, menu, connection
        office chair | cushion, frame, fabric, manual
        herbal tea | taste, smell
        phone | screen, battery, lens, sound
        pillow | cushion, fabric, seam, smell
        printer | app, connection, manual, menu
        rain jacket | zip, seam, fabric, finish
        router | app, connection, manual, menu
        sleeping bag | zip, fabric, seam, smell
        sofa bed | cushion, frame, fabric, seam
        speaker | sound, battery, app, connection
        suitcase | zip, handle, frame, lid
        tablet | screen, battery, sound, connection
        tent | zip, seam, frame, fabric
        travel mug | lid, handle, grip, finish
        vacuum cleaner | motor, handle, battery, sound
        water bottle | lid, strap, finish, smell
        yoga mat | grip, strap, fabric, smell
    """),
    verbs=(
        _split(
            "buy it again, recommend it, keep it for years, give one to a friend, pay the full price for it, trust it, order a second one"
        ),
        _split(
            "send it back, ask for a refund, throw it out, complain to the shop, warn a friend about it, leave it in the cupboard, cancel the order"
        ),
    ),
    likes=(
        _split("love, really like, enjoy, adore, am glad to have bought, am fond of"),
        _split("hate, really dislike, regret buying, detest, am sorry to have bought, am sick of"),
    ),
    frames={
        "plain": _frames("""
            + The {a} is {adj}.
            + The {a} of this {p} is {adj} and the {b} is {bdj}.
            + I {like} it: {adj} {a}, {bdj} {b}.
            + After {time} the {a} is still {adj}.
            + A {p} with a {adj} {a} and a {bdj} {b}.
            + Such a {adj} {a}, and the {b} feels {bdj} too.
            + {a} {adj}, {b} {bdj}.
            + I {like} this {p}. The {a} is {adj}.
            + I {like} it, mainly because of the {adj} {a}.
            + I have had this {p} for {time} and I {like} it.
            + I {like} the {adj} {a} of this {p}.
            + {a} {adj}, {b} {bdj}. In short, I {like} it.
            + I {like} this {p}, the {a} is {adj} and the {b} is {bdj}.
            + After {time} I can say that I {like} this {p}. The {a} is {adj}.
            + This {p} has a {adj} {a}.
            + My {who} says the {a} is {adj}, and I agree.
            + The {a} is {adj}, so I {like} this {p}.
        """),
        "negation": _frames("""
            - I cannot say that the {a} is {adj}.
            - Nobody in our house would call the {a} {adj}.
            - There is nothing {adj} about the {a}.
            - Not once in {time} did I find the {a} {adj}.
            - I would never describe the {a} of this {p} as {adj}.
            - Contrary to what I had read, the {a} is not in the least {adj}.
            - Don't expect a {adj} {a} from this {p}.
            - It simply isn't true that the {a} is {adj}.
            - I don't think the {a} is {adj}, and neither does my {who}.
            - People say the {a} is {adj}. It is not.
            + I cannot deny that the {a} is {adj}.
            + There is no doubt that the {a} is {adj}.
            + I have never had a {p} with such a {adj} {a}.
            + Not only is the {a} {adj}, the {b} is {bdj} as well.
            + Nobody can tell me that the {a} isn't {adj}.
        """),
        "contrast": _frames("""
            + The {b} is {opp}, but the {a} is {adj}, and that is what counts.
            + Yes, the {b} is {opp}, but what decides for me is the {adj} {a}.
            + I could talk about the {opp} {b}, but in the end the {a} is {adj}.
            + Although the {b} is {opp}, the {adj} {a} settles it for me.
            + At first I only saw the {opp} {b}, but after {time} the {a} is simply {adj}.
            + The {b} may be {opp}, but all in all the {a} is so {adj} that my mind is made up.
            + In the end the {a} is {adj}, and that matters more to me than the {opp} {b}.
            + What counts for me is that the {a} is {adj}, even though the {b} is {opp}.
            + The {a} is {adj}. That outweighs the {opp} {b}.
            + My mind is made up by the {adj} {a}, even if the {b} is {opp}.
        """),
        "comparison": _frames("""
            + This {p} has a {more} {a} than my old one.
            - My old {p} had a {more} {a} than this one.
            + The {a} is {more} than on the {p} that I had before.
            - The {p} that I had before had a {more} {a}.
            + Compared with my old {p}, the {a} here is {adj}.
            - Compared with this {p}, the {a} of my old one was {adj}.
            + Next to the {p} of my {who}, the {a} of mine seems {adj}.
            - Next to mine, the {a} on the {p} of my {who} seems {adj}.
            + I tried two, and this {p} is the one with the {more} {a}.
            - I tried two, and the other {p} is the one with the {more} {a}.
        """),
        "intensifier": _frames("""
            + The {a} is {very} {adj}.
            + I am still struck by how {very} {adj} the {a} is.
            + The {a} could hardly be {more}.
            + The {a} is nothing short of {adj}.
            + The {a} is even {more} than I expected.
            - The {a} is anything but {adj}.
            - The {a} is hardly what I would call {adj}.
            - You would need a lot of goodwill to call the {a} even remotely {adj}.
            - This is the least {adj} {a} I have seen on a {p}.
            - The {a} is a lot less {adj} than I expected.
        """),
        "question": _frames("""
            + Who would not want to {verb}?
            - Who would ever want to {verb}?
            + Is there a single reason not to {verb}?
            - Is there a single reason to {verb}?
            + Why would I hesitate to {verb}?
            - Why would anyone in their right mind {verb}?
            + Would I {verb}? Without a second thought.
            - Would I {verb}? Not in a hundred years.
            - Who says that the {a} is {adj}? Mine is not.
            - Where is the {adj} {a} that the other reviews talk about?
            + Is it just me, or is the {a} really {adj}?
            + How can a {a} be this {adj}?
        """),
    },
    around=_lines("""
        I bought this {p} for my {who} {when}.
        We have had this {p} for {time} now.
        The {p} arrived {when} in a plain brown box.
        I use this {p} {place}.
        My {who} ordered the {p} {when}.
        I needed a {p} for use {place}.
        This is my second {p} from the same shop.
        We took the {p} with us {when}.
        I got this {p} from my {who}.
        It took me {time} to write this review.
        I paid for it myself, nobody asked me to write this.
        My {who} uses it {place}.
        For the record, I had a different {p} for {time}.
        I read about it {when} and ordered the same day.
        We keep it {place}, where it is used every day.
    """),
    fillers={
        "who": _split(
            "sister, brother, mother, father, neighbour, colleague, uncle, aunt, flatmate, wife, husband, daughter, son, boss"
        ),
        "when": _split(
            "last week, in March, in the autumn, two months ago, before the holidays, over the weekend, on a Monday, last summer"
        ),
        "time": _split(
            "a week, two weeks, a month, three months, half a year, a year, ten days, six weeks"
        ),
        "place": _split(
            "at home, at work, at the office, in our holiday flat, in the spare room, at my new place, in our second home, at the club"
        ),
        "very": _split(
            "extremely, incredibly, remarkably, unbelievably, exceptionally, surprisingly"
        ),
    },
    joiner=" ",
)

CHINESE = Words(
    aspects=_aspects("""
        声音 | 清楚, 真实, 明亮 | 空洞, 小, 生硬
        屏幕 | 清楚, 明亮, 光亮 | 小, 小气, 一般
        味道 | 地道, 正宗, 清香 | 平淡, 古怪, 平常
        做工 | 精良, 良好, 高明 | 一般, 外行, 平常
        手感 | 光滑, 良好, 真实 | 生硬, 一般, 古怪
        外观 | 大方, 美观, 高雅 | 土气, 小气, 古板
        质量 | 可信, 良好, 高 | 一般, 平常, 水
        信号 | 稳定, 良好, 清楚 | 小, 一般, 古怪
    """),
    products=_products("""
        水壶 | 做工, 外观, 质量
        手机 | 屏幕, 信号, 声音, 外观
        电脑 | 屏幕, 手感, 外观, 质量
        耳机 | 声音, 做工, 手感, 信号
        音箱 | 声音, 外观, 信号, 做工
        台灯 | 做工, 外观, 质量
        键盘 | 手感, 声音, 做工, 外观
        红茶 | 味道, 质量
        咖啡 | 味道, 质量
        背包 | 做工, 手感, 外观
        手表 | 屏幕, 外观, 做工, 手感
        雨衣 | 做工, 质量, 外观
    """),
    verbs=(
        _split("再买一个, 推荐给家人, 一直用下去, 送给朋友一个"),
        _split("退货, 要求退款, 扔掉, 向商家投诉"),
    ),
    likes=(_split("很喜欢, 真心喜爱"), _split("很失望, 真心讨厌")),
    frames={
        "plain": _frames("""
            + {a}{adj}，{b}也{bdj}。
            + 这个{p}的{a}真的{adj}。
            + 用了{time}，{a}还是这么{adj}。
            + 我和{who}都觉得{a}{adj}。
            + {a}{adj}，我{like}。
            + 用了{time}，我{like}。
            + 这个{p}我{like}，{a}{adj}。
        """),
        "negation": _frames("""
            - 我不觉得{a}{adj}。
            - {a}一点也不{adj}。
            - 不会有人说{a}{adj}。
            + 不得不说，{a}真的{adj}。
        """),
        "contrast": _frames("""
            + 虽然{b}{opp}，但是{a}{adj}，这才是最要紧的。
            + {b}{opp}是真的，不过最要紧的是{a}{adj}。
        """),
        "comparison": _frames("""
            + 这个{p}的{a}比以前那个{adj}多了。
            - 以前那个{p}的{a}比这个{adj}多了。
        """),
        "intensifier": _frames("""
            + {a}实在太{adj}了。
            - {a}完全谈不上{adj}。
        """),
        "question": _frames("""
            - 谁会说{a}{adj}呢？
            + 谁不想{verb}呢？
            - 谁会想{verb}呢？
        """),
    },
    around=_lines("""
        {when}在网上买的。
        这个{p}是给{who}买的。
        {who}也有一个一样的{p}。
        到现在用了{time}。
        平时都放在{place}。
        这个{p}是{who}送的。
        我{when}才收到这个{p}。
    """),
    fillers={
        "who": _split("妈妈, 爸爸, 同事, 朋友, 妹妹, 邻居, 女儿, 儿子"),
        "when": _split("上个月, 上周, 去年, 三月, 国庆, 前天, 周末"),
        "time": _split("一个月, 三个月, 半年, 一年, 两周, 十天"),
        "place": _split("家里, 公司, 车里, 宿舍, 厨房, 书房"),
    },
    joiner="",
)
