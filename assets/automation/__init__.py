"""What happens with no hand on it: listings that notice files, graphs that follow content, cron, alerts.

Everything is declared by the component ``Automation`` of a pipeline and becomes what Dagster shows on its Automation
page: sensors and schedules, each with a switch, a history of ticks and the reason of every tick in words.
"""
