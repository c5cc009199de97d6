import { library } from '@graftjs/tsup'

export default library(['src/index.ts'])
