/**
 * Parts of a request until its answer ends, in their order: it is routed, its adapter is brought into RAM or was there, the
 * engine has it. They come again where another version has to answer instead.
 */
export type Stage = 'route' | 'load' | 'engine';

/** Hears when a part of a request begins; the one before is over then. */
export type Stages = (stage: Stage) => void;

export const unheard: Stages = () => undefined;
