/** Acts on each item, on 16 at a time by default, so that the limits of a server are not met. Answers in the order of the items. */
export const inParts = async <T, R>(
  all: readonly T[],
  act: (item: T) => Promise<R>,
  atOnce = 16,
): Promise<R[]> => {
  const results: R[] = [];
  const queue = all.entries();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const [index, item] of queue) results[index] = await act(item);
    }),
  );
  return results;
};
