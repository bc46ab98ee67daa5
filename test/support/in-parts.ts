/** Acts on each item, on 16 at a time, so that the limits of a server are not met. */
export const inParts = async <T>(all: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> => {
  const queue = all.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const item of queue) await act(item);
    }),
  );
};
