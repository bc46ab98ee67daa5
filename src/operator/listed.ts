/** `a, b, c and 4 more`. */
export const listed = (items: readonly string[], most: number, separator = ', '): string =>
  items.length <= most
    ? items.join(separator)
    : `${items.slice(0, most).join(separator)} and ${items.length - most} more`;
