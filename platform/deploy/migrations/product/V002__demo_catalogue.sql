INSERT INTO products (tenant, sku, name, description, price_minor, currency, tags, version, created_at, updated_at)
SELECT 'default', sku, name, description, price_minor, 'EUR', string_to_array(tags, ' '), 1, now(), now()
FROM (VALUES
    ('MUG-BLUE',      'Blue mug',             'Stoneware, 0.3 l, dishwasher safe.',            1250, 'kitchen mug'),
    ('MUG-GREEN',     'Green mug',            'Stoneware, 0.3 l, dishwasher safe.',            1250, 'kitchen mug'),
    ('MUG-TRAVEL',    'Travel mug',           'Steel, keeps coffee hot for four hours.',       2490, 'kitchen mug outdoor'),
    ('TEAPOT-IRON',   'Iron teapot',          'Cast iron with a fine sieve, 0.8 l.',           4990, 'kitchen tea'),
    ('KETTLE-1L',     'Kettle',               'Gooseneck kettle for slow pours, 1 l.',         5900, 'kitchen coffee tea'),
    ('GRINDER-HAND',  'Hand grinder',         'Conical burrs, forty click settings.',          7900, 'kitchen coffee'),
    ('BEANS-ESPRESSO','Espresso beans',       'Dark roast, whole beans, 1 kg.',                2290, 'coffee food'),
    ('BEANS-FILTER',  'Filter beans',         'Light roast, whole beans, 500 g.',              1490, 'coffee food'),
    ('TEA-SENCHA',    'Sencha',               'Green tea from the first flush, 100 g.',         990, 'tea food'),
    ('LAMP-DESK',     'Desk lamp',            'Warm light, dimmable, folds flat.',             6900, 'office light'),
    ('LAMP-FLOOR',    'Floor lamp',           'Reads well beside a chair.',                   12900, 'home light'),
    ('CHAIR-TASK',    'Task chair',           'Mesh back, adjustable in six ways.',           34900, 'office furniture'),
    ('DESK-SIT',      'Sit-stand desk',       'Electric, 160 by 80 cm.',                      59900, 'office furniture'),
    ('SHELF-OAK',     'Oak shelf',            'Five boards, holds 40 kg each.',               18900, 'home furniture'),
    ('NOTEBOOK-A5',   'Notebook',             'Dotted, 200 pages, lies flat.',                 1290, 'office paper'),
    ('PEN-GEL',       'Gel pen',              'Black, 0.5 mm, pack of three.',                  590, 'office paper'),
    ('BACKPACK-20',   'Backpack',             'Twenty litres, sleeve for a laptop.',           8900, 'outdoor bag'),
    ('BOTTLE-STEEL',  'Steel bottle',         'One litre, no plastic inside.',                 2290, 'outdoor kitchen'),
    ('TENT-2P',       'Two-person tent',      'Three seasons, 2.1 kg.',                       24900, 'outdoor'),
    ('SOCKS-WOOL',    'Wool socks',           'Merino, sizes 36 to 46.',                       1590, 'clothes outdoor'),
    ('SHIRT-LINEN',   'Linen shirt',          'Undyed, button-down.',                          5490, 'clothes'),
    ('HEADPHONES-1',  'Headphones',           'Closed, wired, repairable.',                   14900, 'audio'),
    ('SPEAKER-MINI',  'Small speaker',        'Ten hours on one charge.',                      7900, 'audio home'),
    ('CABLE-USBC',    'USB-C cable',          'Braided, 2 m, 100 W.',                          1290, 'office audio')
) AS demo(sku, name, description, price_minor, tags);
