/**
 * Loaded into a runtime and its engine by NODE_OPTIONS: the engine ends by a signal when it is given a prompt with the word
 * `poison`, and when it has the third token of an answer to a prompt with the word `venom`.
 */
const lastEvents = 3;
const end = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
if (/engine[/-]process[/-]main\.m?[jt]s$/.test(process.argv[1] ?? '')) {
  const events = new Map<unknown, number>();
  process.on('message', (message: { readonly kind: string; readonly call?: number }) => {
    const text = JSON.stringify(message);
    if (text.includes('poison')) end();
    if (message.kind === 'generate' && text.includes('venom')) events.set(message.call, 0);
  });
  const send = process.send?.bind(process);
  process.send = (message: { readonly kind: string; readonly call?: number }, ...rest) => {
    const sent = events.get(message.call);
    if (message.kind === 'event' && sent !== undefined) {
      events.set(message.call, sent + 1);
      if (sent + 1 === lastEvents) end();
    }
    return send === undefined ? false : Reflect.apply(send, undefined, [message, ...rest]);
  };
}
