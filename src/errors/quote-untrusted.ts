/** Text that others wrote (a tensor's name, a server's answer), quoted, on one line and short, fit for a message. */
export const quoteUntrusted = (text: string, maxLength = 120): string =>
  JSON.stringify(text.length > maxLength ? `${text.slice(0, maxLength)}…` : text);
