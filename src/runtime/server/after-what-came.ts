/**
 * Calls back two turns of the event loop later: the first reads what came behind a request, the second knows of it. A client that is
 * gone by then costs the reading of its request, and no more.
 */
export const afterWhatCame = (then: () => void): void => {
  setImmediate(() => setImmediate(then));
};
