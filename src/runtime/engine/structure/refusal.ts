import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** How llguidance says that a limit was reached. */
const limits =
  /fuel|too (?:large|complex|big|deep|many (?:states|items|expressions))|limit|exceeded|TooComplex/i;

/** Characters of a message that are shown. */
const shown = 400;

/** What llguidance says, without the state that it adds, as an error. */
export const refusalOf = (message: string): AdaptletError => {
  const [first = ''] = message.split('\n<', 1);
  const said = first === 'NoExtensionBias' ? 'no text that goes on from here satisfies it' : first;
  const short = said.length > shown ? `${said.slice(0, shown)}…` : said;
  return new AdaptletError(limits.test(said) ? 'STRUCTURE_TOO_COMPLEX' : 'STRUCTURE_UNSUPPORTED', short);
};
