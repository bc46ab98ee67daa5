/** How many times as long as usual everything may take: more than 1 where all of it is emulated. */
export const patience = Number(process.env['ADAPTLET_TEST_PATIENCE'] ?? 1);
