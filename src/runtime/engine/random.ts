/**
 * Random numbers in [0, 1) that depend on the seed only: sfc32 by Chris Doty-Humphrey (PractRand), which passes the
 * usual test batteries and gives the same sequence everywhere.
 */
export const seededRandom = (seed: number): (() => number) => {
  // Fractions keep their effect, so that 1 and 1.5 are different seeds.
  let a = Math.floor(seed) | 0;
  let b = Math.floor(seed / 2 ** 32) | 0;
  let c = Math.floor((seed - Math.floor(seed)) * 2 ** 32) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // The first values of close seeds are alike.
  for (let warmUp = 0; warmUp < 15; warmUp += 1) next();
  return next;
};
