"""The catalogue, the warehouses and the stock of the demo."""

from decimal import Decimal
from typing import NamedTuple

TAX_CLASSES = (
    ("standard", "Standard rate", Decimal("0.2300")),
    ("reduced", "Food and drink", Decimal("0.1300")),
    ("books", "Books", Decimal("0.0600")),
)

WAREHOUSES = (("LIS", "Lisbon", "PT"), ("BER", "Berlin", "DE"))

PLENTY = {"LIS": 6_000, "BER": 4_000}
FEW = {"LIS": 3, "BER": 2}
ONE_PLACE = {"LIS": 2_500}


class Item(NamedTuple):
    """One product of the demo; `euros` for one piece, tax included."""

    sku: str
    name: str
    category: str
    euros: str
    grams: int
    description: str
    stock: dict[str, int] = PLENTY


TEAS = (
    Item(
        "TEA-EARL-100", "Earl Grey, 100 g", "Tea", "12.90", 140, "Black tea from Ceylon with oil of Calabrian bergamot."
    ),
    Item("TEA-EARL-250", "Earl Grey, 250 g", "Tea", "27.50", 310, "The same blend for those who pour it daily."),
    Item("TEA-DARJ-100", "Darjeeling First Flush, 100 g", "Tea", "18.40", 140, "Picked in March, bright and flowery."),
    Item("TEA-ASSA-100", "Assam Second Flush, 100 g", "Tea", "13.60", 140, "Malty and dark; it takes milk well."),
    Item("TEA-SENC-100", "Sencha Uji, 100 g", "Tea", "16.20", 140, "Steamed green tea, fresh and a little sweet."),
    Item("TEA-GENM-100", "Genmaicha, 100 g", "Tea", "11.80", 140, "Green tea with roasted rice."),
    Item("TEA-MATC-030", "Matcha Ceremonial, 30 g", "Tea", "24.90", 90, "Stone-ground, for whisking.", ONE_PLACE),
    Item("TEA-OOLO-100", "Oolong Tie Guan Yin, 100 g", "Tea", "21.30", 140, "Half-fermented, with a scent of orchids."),
    Item("TEA-JASM-100", "Jasmine Pearls, 100 g", "Tea", "19.70", 140, "Rolled by hand, scented over five nights."),
    Item("TEA-ROOI-200", "Rooibos, 200 g", "Tea", "9.90", 250, "Red bush from the Cederberg, without caffeine."),
    Item("TEA-MINT-080", "Moroccan Mint, 80 g", "Tea", "8.40", 120, "Nana mint and gunpowder green."),
    Item("TEA-CHAM-060", "Chamomile Flowers, 60 g", "Tea", "7.90", 100, "Whole flowers for the evening."),
    Item("TEA-AZOR-100", "Azores Broken Leaf, 100 g", "Tea", "14.50", 140, "From Europe's oldest tea garden.", FEW),
)
COFFEES = (
    Item("COF-ETHI-250", "Ethiopia Yirgacheffe, 250 g", "Coffee", "14.80", 290, "Washed; jasmine, lemon and honey."),
    Item("COF-COLO-250", "Colombia Huila, 250 g", "Coffee", "12.60", 290, "Washed; red apple and caramel."),
    Item("COF-BRAZ-250", "Brazil Cerrado, 250 g", "Coffee", "10.90", 290, "Natural; hazelnut and cocoa."),
    Item("COF-KENY-250", "Kenya Nyeri AA, 250 g", "Coffee", "16.40", 290, "Washed; blackcurrant and grapefruit."),
    Item("COF-GUAT-250", "Guatemala Antigua, 250 g", "Coffee", "13.20", 290, "Washed; milk chocolate and orange."),
    Item("COF-SUMA-250", "Sumatra Mandheling, 250 g", "Coffee", "13.90", 290, "Wet-hulled; cedar and spice."),
    Item("COF-ESPR-001", "House Espresso, 1 kg", "Coffee", "32.50", 1_080, "A blend that forgives an old grinder."),
    Item("COF-DECA-250", "Decaf Swiss Water, 250 g", "Coffee", "13.40", 290, "Without caffeine and without solvents."),
    Item("COF-GEIS-100", "Panama Geisha, 100 g", "Coffee", "39.00", 130, "A small lot from Boquete.", FEW),
)
WARES = (
    Item("CUP-PORC-250", "Porcelain Cup, 250 ml", "Cups", "16.50", 320, "Thin-walled, white, dishwasher-safe."),
    Item("CUP-STON-350", "Stoneware Mug, 350 ml", "Cups", "19.90", 450, "Glazed by hand in Caldas da Rainha."),
    Item("CUP-ESPR-080", "Espresso Cup, 80 ml", "Cups", "11.20", 210, "Heavy, so that the coffee stays warm."),
    Item("CUP-GLAS-400", "Double-Wall Glass, 400 ml", "Cups", "14.90", 260, "Borosilicate; cool outside."),
    Item("CUP-GAIW-120", "Gaiwan, 120 ml", "Cups", "28.00", 280, "Lidded bowl for many short infusions.", ONE_PLACE),
    Item("POT-PORC-800", "Porcelain Teapot, 800 ml", "Pots", "49.00", 980, "With a strainer that comes out."),
    Item("POT-IRON-600", "Cast-Iron Teapot, 600 ml", "Pots", "69.00", 1_650, "Enamelled inside; from Morioka."),
    Item("POT-GLAS-1000", "Glass Teapot, 1 l", "Pots", "36.50", 620, "To watch the leaves unfold."),
    Item("POT-FREN-1000", "French Press, 1 l", "Pots", "34.90", 890, "Steel mesh, borosilicate glass."),
    Item("POT-MOKA-300", "Moka Pot, 6 cups", "Pots", "29.90", 720, "Aluminium; for gas and electric hobs."),
    Item("GER-KETT-900", "Gooseneck Kettle, 0.9 l", "Gear", "89.00", 1_320, "Holds its temperature to the degree."),
    Item("GER-GRIN-001", "Hand Grinder", "Gear", "119.00", 690, "Conical steel burrs, 36 steps."),
    Item("GER-SCAL-001", "Brewing Scale", "Gear", "54.00", 480, "To a tenth of a gram, with a timer."),
    Item("GER-DRIP-002", "Ceramic Dripper, size 2", "Gear", "24.50", 410, "Spiral ribs, for 1 to 4 cups."),
    Item("GER-FILT-100", "Paper Filters, 100 pieces", "Gear", "6.90", 180, "Oxygen-bleached, size 2."),
    Item("GER-WHIS-001", "Bamboo Whisk", "Gear", "18.90", 60, "One hundred tines, cut from one piece."),
    Item("GER-STRA-001", "Tea Strainer", "Gear", "9.50", 70, "Fine steel mesh with a drip bowl."),
    Item("GER-TINS-002", "Tea Tins, set of two", "Gear", "17.80", 340, "Airtight, for 100 g each."),
)
BOOKS = (
    Item("BOK-TEAB-001", "The Leaf and the Water", "Books", "24.00", 620, "A history of tea in forty cups."),
    Item("BOK-COFF-001", "From Cherry to Cup", "Books", "29.00", 780, "Growing, roasting and brewing coffee."),
    Item("BOK-BREW-001", "Brewing by Numbers", "Books", "19.50", 430, "Ratios, temperatures, and why they matter."),
    Item("BOK-CERA-001", "Clay, Fire, Table", "Books", "34.00", 910, "Potters of Portugal at work."),
    Item("BOK-RECI-001", "Cakes for Four O'Clock", "Books", "22.50", 650, "Sixty recipes to go with a pot of tea."),
    Item(
        "BOK-FARM-001", "A Year in the Garden of Gorreana", "Books", "27.00", 560, "Photographs from the Azores.", FEW
    ),
)

CATALOGUE = tuple(
    (item, tax_class)
    for items, tax_class in ((TEAS, "reduced"), (COFFEES, "reduced"), (WARES, "standard"), (BOOKS, "books"))
    for item in items
)
