#include "notification_service.h"

int main(int argc, char **argv)
{
    return bv_service_main(&notification_spec, argc, argv);
}
