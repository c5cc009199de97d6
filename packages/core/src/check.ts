// What tests of the executor need and users do not.
export { withTallies } from './tallies.ts'
export { unstaged } from './unstaged.ts'
