import { importsPointDown } from './imports-point-down.ts';

/** The project's own rules, for oxlint. */
export default { meta: { name: 'adaptlet' }, rules: { 'imports-point-down': importsPointDown } };
