/**
 * Texts of many kinds, from which the engine learns how large a model's keys and values become, and others on which it sees
 * whether it learned enough.
 */
export const sampleTexts = {
  learned: [
    'The ferry leaves the old harbour at seven in the morning and reaches the island before noon. Most passengers stay on deck, ' +
      'because the wind is warm in June and the coast is worth looking at. In 1987 the crossing took nearly nine hours; today it ' +
      'costs 24.50 euros and is over in four.',
    '{"customer": "Maria", "item": "chair", "quantity": 4, "city": "Lisbon", "tags": ["new", "urgent"], "price": 19.99, "paid": true}',
    "SELECT name, COUNT(*) AS orders FROM customers JOIN orders ON customers.id = orders.customer_id WHERE city = 'Berlin' " +
      'GROUP BY name HAVING COUNT(*) > 3 ORDER BY orders DESC LIMIT 10;',
    'def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)\n\nprint(mean([1, 2, 3.5]))\n',
    'Question: Why is the sky blue?\nAnswer: Air scatters short waves of light more than long ones, so blue reaches the eye from ' +
      'all sides.\n\n1. First point.\n2. Second point!\n3. Third point?\n',
    'Der Zug nach M\u00fcnchen f\u00e4hrt um 8:15 Uhr ab. Le mus\u00e9e est ferm\u00e9 le lundi. \u00bfD\u00f3nde est\u00e1 la biblioteca? ' +
      '\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002 \u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?',
    'aaaa bbbb 0000 1111 ---- ==== //// #### $$$$ \t\t\n\n\n   ZZZZ!!!! (((( )))) [[ ]] {{ }} <a href="x">y</a>',
  ],
  unseen: [
    'A clockmaker in a small town repaired a tower clock that had stood still for thirty years. When it struck again, ' +
      'people came out of their houses and looked up, and somebody asked what time it had been.',
    'const total = items.filter((item) => item.price > 10).reduce((sum, { price, count }) => sum + price * count, 0);',
    'Please send 12 lamps to Kofi in Delhi by Friday, and tell him that the second parcel follows next week.',
  ],
} as const;
