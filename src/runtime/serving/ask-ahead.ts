/**
 * Decides by routing, which waits for nothing: answers of classifiers that it lacked because they take time are waited for, and it
 * decides again. At once where it lacked none. Each is asked once.
 * @param awaited asks for what the last decision lacked; undefined: it lacked nothing
 */
export const decided = <T>(decide: () => T, awaited: () => Promise<void> | undefined): T | Promise<T> => {
  const first = decide();
  const answers = awaited();
  return answers === undefined ? first : decidedAfter(answers, decide, awaited);
};

const decidedAfter = async <T>(
  answers: Promise<void>,
  decide: () => T,
  awaited: () => Promise<void> | undefined,
): Promise<T> => {
  await answers;
  return await decided(decide, awaited);
};
