"""The vocabulary of `sample:phrases`: people, things, acts, places in English, German and Chinese."""

from typing import NamedTuple


class Person(NamedTuple):
    """Who acts; only ever a subject."""

    en: str
    de: str
    gender: str
    zh: str


class Thing(NamedTuple):
    """What is acted upon."""

    en: str
    en_many: str
    de: str
    de_many: str
    gender: str
    zh: str
    measure: str
    """The Chinese measure word."""


class Quality(NamedTuple):
    """An adjective; German as the stem that takes an ending."""

    en: str
    de: str
    zh: str


class Act(NamedTuple):
    """A transitive verb."""

    en: str
    en_now: str
    en_past: str
    de_now: str
    de_done: str
    zh: str


class Said(NamedTuple):
    """A place, a time or a name, the same in every sentence."""

    en: str
    de: str
    zh: str


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


PEOPLE = tuple(
    Person(*row)
    for row in _rows("""
    teacher | Lehrer | m | 老师
    doctor | Ärztin | f | 医生
    child | Kind | n | 孩子
    woman | Frau | f | 女士
    man | Mann | m | 男人
    girl | Mädchen | n | 女孩
    boy | Junge | m | 男孩
    baker | Bäcker | m | 面包师
    student | Studentin | f | 学生
    neighbour | Nachbar | m | 邻居
    grandmother | Großmutter | f | 奶奶
    uncle | Onkel | m | 叔叔
    friend | Freundin | f | 朋友
    farmer | Bauer | m | 农民
    cook | Köchin | f | 厨师
    driver | Fahrer | m | 司机
""")
)
THINGS = tuple(
    Thing(*row)
    for row in _rows("""
    book | books | Buch | Bücher | n | 书 | 本
    lamp | lamps | Lampe | Lampen | f | 灯 | 盏
    bicycle | bicycles | Fahrrad | Fahrräder | n | 自行车 | 辆
    chair | chairs | Stuhl | Stühle | m | 椅子 | 把
    table | tables | Tisch | Tische | m | 桌子 | 张
    cup | cups | Tasse | Tassen | f | 杯子 | 个
    bag | bags | Tasche | Taschen | f | 包 | 个
    hat | hats | Hut | Hüte | m | 帽子 | 顶
    coat | coats | Mantel | Mäntel | m | 大衣 | 件
    car | cars | Auto | Autos | n | 汽车 | 辆
    letter | letters | Brief | Briefe | m | 信 | 封
    picture | pictures | Bild | Bilder | n | 画 | 幅
    key | keys | Schlüssel | Schlüssel | m | 钥匙 | 把
    apple | apples | Apfel | Äpfel | m | 苹果 | 个
    flower | flowers | Blume | Blumen | f | 花 | 朵
    umbrella | umbrellas | Regenschirm | Regenschirme | m | 雨伞 | 把
    house | houses | Haus | Häuser | n | 房子 | 座
    clock | clocks | Uhr | Uhren | f | 钟 | 个
    knife | knives | Messer | Messer | n | 刀 | 把
    guitar | guitars | Gitarre | Gitarren | f | 吉他 | 把
    box | boxes | Kiste | Kisten | f | 箱子 | 个
    carpet | carpets | Teppich | Teppiche | m | 地毯 | 块
""")
)
OF_PEOPLE = tuple(
    Quality(*row)
    for row in _rows("""
    young | jung | 年轻
    old | alt | 年老
    friendly | freundlich | 友好
    tired | müd | 疲倦
    happy | fröhlich | 快乐
    clever | klug | 聪明
    quiet | ruhig | 安静
""")
)
OF_THINGS = tuple(
    Quality(*row)
    for row in _rows("""
    red | rot | 红色
    blue | blau | 蓝色
    green | grün | 绿色
    big | groß | 大
    small | klein | 小
    new | neu | 新
    old | alt | 旧
    heavy | schwer | 重
    beautiful | schön | 漂亮
    cheap | billig | 便宜
    expensive | teur | 昂贵
    white | weiß | 白色
""")
)
ACTS = tuple(
    Act(*row)
    for row in _rows("""
    buy | buys | bought | kauft | gekauft | 买
    sell | sells | sold | verkauft | verkauft | 卖
    clean | cleans | cleaned | putzt | geputzt | 擦
    paint | paints | painted | malt | gemalt | 画
    look for | looks for | looked for | sucht | gesucht | 找
    repair | repairs | repaired | repariert | repariert | 修理
    use | uses | used | benutzt | benutzt | 用
    need | needs | needed | braucht | gebraucht | 需要
    love | loves | loved | liebt | geliebt | 喜欢
    hide | hides | hid | versteckt | versteckt | 藏
    take | takes | took | nimmt | genommen | 拿
    measure | measures | measured | misst | gemessen | 测量
    describe | describes | described | beschreibt | beschrieben | 描述
    photograph | photographs | photographed | fotografiert | fotografiert | 拍摄
""")
)
PLACES = tuple(
    Said(*row)
    for row in _rows("""
    in the garden | im Garten | 在花园里
    at the station | am Bahnhof | 在车站
    in the kitchen | in der Küche | 在厨房里
    in front of the school | vor der Schule | 在学校前面
    in the city | in der Stadt | 在城里
    at the market | auf dem Markt | 在市场上
    behind the house | hinter dem Haus | 在房子后面
    in the library | in der Bibliothek | 在图书馆里
    by the river | am Fluss | 在河边
    in the office | im Büro | 在办公室里
""")
)
TIMES = tuple(
    Said(*row)
    for row in _rows("""
    yesterday | gestern | 昨天
    last week | letzte Woche | 上周
    this morning | heute Morgen | 今天早上
    two days ago | vor zwei Tagen | 两天前
    in May | im Mai | 五月
    on Sunday | am Sonntag | 星期天
""")
)
NAMES = tuple(
    Said(*row)
    for row in _rows("""
    Anna | Anna | 安娜
    Ben | Ben | 本
    Clara | Clara | 克拉拉
    David | David | 大卫
    Emma | Emma | 艾玛
    Felix | Felix | 菲利克斯
    Lea | Lea | 莉娅
    Max | Max | 马克斯
    Nina | Nina | 尼娜
    Paul | Paul | 保罗
    Sofia | Sofia | 索菲亚
    Tom | Tom | 汤姆
""")
)
