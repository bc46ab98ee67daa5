/** The weights that computed something that is not finite, and what to do about them. */
export const culpritOf = (adapter: string | null): { readonly weights: string; readonly advice: string } =>
  adapter === null
    ? { weights: 'the base model', advice: 'Export the base model again, in another precision.' }
    : { weights: `adapter ${adapter}`, advice: 'Roll the adapter back.' };
