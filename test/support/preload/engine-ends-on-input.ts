/**
 * Loaded into a runtime and its engine by NODE_OPTIONS: the engine ends by a signal when it begins to work on a prompt with the
 * word `poison`, and when it has the third token of an answer to a prompt with the word `venom`.
 */
const lastEvents = 3;
type Message = { readonly kind: string; readonly call?: number; readonly calls?: readonly number[] };
const end = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
if (/engine[/-]process[/-]main\.m?[jt]s$/.test(process.argv[1] ?? '')) {
  const poisoned = new Set<number>();
  const events = new Map<number, number>();
  process.on('message', (message: Message) => {
    const { kind, call = 0 } = message;
    const text = JSON.stringify(message);
    if (kind !== 'generate') return;
    if (text.includes('poison')) poisoned.add(call);
    if (text.includes('venom')) events.set(call, 0);
  });
  const send = process.send?.bind(process);
  process.send = (message: Message, ...rest) => {
    const { kind, call = 0, calls = [] } = message;
    const sent = events.get(call);
    if (kind === 'event' && sent !== undefined) {
      events.set(call, sent + 1);
      if (sent + 1 === lastEvents) end();
    }
    const isSent = send === undefined ? false : Reflect.apply(send, undefined, [message, ...rest]);
    if (calls.some((one) => poisoned.has(one))) end();
    return isSent;
  };
}
