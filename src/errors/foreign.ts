/** Text that others wrote (a tensor's name, a server's answer), quoted, on one line and short, fit for a message. */
export const foreign = (text: string, most = 120): string =>
  JSON.stringify(text.length > most ? `${text.slice(0, most)}…` : text);
