export { nodeClock } from './clock.ts';
export { workloadImage } from './images.ts';
export { Lab } from './lab.ts';
export { labObstacles } from './machine.ts';
export type { LabNode } from './node.ts';
