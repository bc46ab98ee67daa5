/** Token events that may be on their way to a caller who has not taken them. */
export const eventWindow = 64;
